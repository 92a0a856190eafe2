from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.config.compose import compose_config
from isoflop.curve.check import front
from isoflop.curve.judge import limit
from isoflop.paper import claims
from isoflop.paper import overparameterised as over
from isoflop.paper.pages import overparameterised as page
from isoflop.sweep import grid
from isoflop.table import aggregate, held_out

LARGEST = 6 * 200 * 2**6 * 43 * 8 * 2**6 * 20 * 1e-9


def _rows(b=0.25, tied=True, seeds=3, noise=0.02):
    """A table as aggregate gives it, of a sweep with a known exponent of error in compute."""
    draw = np.random.default_rng(0)
    rows = []
    for size in range(7):
        n = 200 * 2.0**size
        parameters = 43 * 8 * (2.0**size if tied else draw.uniform(0.5, 2))
        for seed in range(seeds):
            compute = 6 * n * parameters * 20 * 1e-9
            rows.append(
                {
                    **{name: None if name in aggregate.TEXT else np.nan for name in aggregate.COLUMNS},
                    **{"run_id": f"{size}-{seed}", "config_id": str(size), "place_id": str(size)},
                    **{"label": f"mlp w{size}"},
                    **{"data": "synthetic", "device": "cpu", "seed": seed, "chance_error": 0.9},
                    **{"train_n": n, "parameters": parameters, "train_gflops": compute},
                    "inference_gflops_per_example": 2 * parameters * 1e-9,
                    "test_error": 0.005 * (compute / LARGEST) ** -b * np.exp(noise * draw.standard_normal()),
                    "test_loss": (compute / LARGEST) ** -b,
                    "test_rms_probability_error": 0.02
                    * (compute / LARGEST) ** -b
                    * np.exp(noise * draw.standard_normal()),
                }
            )
    return pd.DataFrame(rows)


def test_known_exponents_come_back_and_follow_the_argument():
    result = over.analyse(_rows(0.25), source="made up")
    assert result.parameters_per_example == pytest.approx(1)
    for x, b in over.THEORY.items():
        measured = over.exponent(result, over.RMS, x)
        assert measured.exponent.value == pytest.approx(b, abs=0.02)
        assert measured.bound == "compatible but not decisive"
        beside = over.exponent(result, "test_error", x)
        assert beside.exponent.value == pytest.approx(b, abs=0.02)
        assert beside.bound is None, "the argument does not bound it"
        assert over.exponent(result, "test_loss", x).exponent.value == pytest.approx(b, abs=1e-9)
    assert over.exponent(result, "test_error", "train_gflops").alpha.value == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize(("b", "answer"), [(0.1, "agrees"), (0.5, "disagrees")])
def test_the_section_and_the_claim_have_the_verdict_of_the_judge(b, answer):
    rows = _rows(b)
    result = over.analyse(rows, source="made up")
    assert result.limit == limit.judge(rows, front.check(rows))
    assert result.limit.answer == over.exponent(result, over.RMS, "train_gflops").bound == answer
    claim = claims.judge(claims.Results(overparameterised=result)).claims[0]
    assert claim.verdict == answer
    assert claim.why == result.limit.why


def test_one_seed_of_each_shape_tells_nothing():
    result = over.analyse(_rows(0.1, seeds=1), source="made up")
    assert claims.judge(claims.Results(overparameterised=result)).claims[0].verdict == "cannot be told"
    assert "single seed" in result.limit.why


def test_records_without_a_brier_score_cannot_tell():
    result = over.analyse(_rows().drop(columns=over.RMS), source="made up")
    assert over.exponent(result, over.RMS, "train_gflops") is None
    claim = claims.judge(claims.Results(overparameterised=result)).claims[0]
    assert claim.verdict == "cannot be told"
    assert "these runs hold no Brier score" in claim.why


def test_the_section_is_drawn_with_and_without_a_brier_score(tmp_path):
    told = page.section(over.analyse(_rows(), source="made up"), tmp_path)
    assert "root mean square error of the predicted probabilities takes k^" in " ".join(told.paragraphs)
    untold = page.section(over.analyse(_rows().drop(columns=over.RMS), source="made up"), tmp_path)
    assert "cannot be told" in " ".join(untold.paragraphs)


def test_runs_held_out_before_training_are_no_part_of_it():
    rows = _rows().assign(held_out=lambda r: (r["config_id"] == "6").astype(float))
    result = over.analyse(rows, source="made up")
    assert result.configs == 6
    assert {e.reason for e in result.excluded} == {held_out.EXCLUDED}


def test_queries_per_training_by_hand():
    result = over.analyse(_rows(), source="made up")
    trained = [3 * 200 * 2.0**size * 20 for size in range(7)]
    assert result.queries_per_training.value == pytest.approx(np.exp(np.mean(np.log(trained))))


def test_runs_near_chance_or_unknown_are_left_out_by_name():
    rows = _rows()
    rows.loc[0, "test_error"], rows.loc[1, "train_gflops"], rows.loc[2, "test_error"] = 0.89, np.nan, 0.0
    result = over.analyse(rows, source="made up")
    reasons = {e.run_id: e.reason for e in result.excluded}
    assert "too little was learnt" in reasons["0-0"]
    assert reasons["0-1"] == "no train_gflops"
    assert "0 errors" in reasons["0-2"]
    assert result.configs == 6


def test_a_sweep_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="do not grow together"):
        over.analyse(_rows(tied=False), source="mine")
    same = _rows().assign(train_n=500.0)
    with pytest.raises(ValueError, match="same data"):
        over.analyse(same, source="mine")
    with pytest.raises(ValueError, match="3 usable shapes"):
        over.analyse(_rows().query("config_id in ['0', '1', '2']"), source="mine")


def test_the_sweep_file_keeps_parameters_in_proportion_to_data():
    cells = grid.expand(compose_config(["sweep=overparameterised"], None))
    assert len(cells) == 21
    ratios = {cell.config.model.width / cell.config.data.fraction for cell in cells}
    assert ratios == {512.0}


def test_the_step_that_waits_for_a_gpu_is_a_sweep_that_composes():
    script = Path(__file__).parents[2] / "scripts" / "gpu_pending.sh"
    step = script.read_text().split("paper-overparameterised)")[1].split(";;")[0]
    overrides = [word for word in step.replace("\\\n", " ").split() if "=" in word and '"' not in word]
    config = compose_config(overrides, None)
    assert config.data.name == "fashion_mnist"
    assert len(config.sweep.points) == 7
