from __future__ import annotations

import msgspec

from isoflop.runner.state import EarlierEnergy, TrainingState, Trajectory
from isoflop.train.score import Score

WAY = (
    '{"val": {"wrong": 5, "n": 50, "loss": 1.5}, "curve": [],'
    ' "metered": {"energies": [], "reason": "no GPU"}, "train_seconds": 2.0, "eval_seconds": 0.5}'
)
STORED = (
    f'{{"run_id": "ab", "horizon": 1, "trunk": {WAY}, "way": {WAY}, "charged": 7, "short": [],'
    ' "steps_done": 20,'
    ' "trained_seconds": 2.0, "uncharged_seconds": 3.0, "wasted_steps": 4, "wasted_seconds": 0.1}'
)
"""What version 0.1.0 wrote into a checkpoint before its modules and words were renamed."""


def test_the_training_state_of_an_earlier_version_is_read() -> None:
    reached = Trajectory(
        val=Score(5, 50, 1.5),
        earlier_energy=EarlierEnergy(reason="no GPU"),
        train_seconds=2.0,
        eval_seconds=0.5,
    )
    expected = TrainingState(
        run_id="ab",
        horizon_index=1,
        trunk=reached,
        trajectory=reached,
        charged_step=7,
        steps_done=20,
        trained_seconds=2.0,
        uncharged_seconds=3.0,
        wasted_steps=4,
        wasted_seconds=0.1,
    )
    assert msgspec.json.decode(STORED, type=TrainingState) == expected


def test_stored_names_do_not_follow_the_code() -> None:
    state = msgspec.json.decode(STORED, type=TrainingState)
    before, after = msgspec.json.decode(STORED), msgspec.json.decode(msgspec.json.encode(state))
    assert after.pop("split_sha256") is None
    newer = [
        after[key].pop(name) for key in ("trunk", "way") for name in ("windows", "loss_sums", "readings")
    ]
    assert after == before
    assert newer == [[]] * 6
