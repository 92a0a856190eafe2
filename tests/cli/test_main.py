"""The isoflop command: errors are one line and an exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.api import sweeping
from isoflop.cli import flops, main, output, run

TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


def check_bad_input(arguments: list[str], message: str, here: Path, error_line: Callable[[], str]) -> None:
    """One line, exit code 2, and nothing written."""
    assert main.main(arguments) == output.INPUT
    assert message in error_line()
    assert list(here.rglob("*.json")) == []


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "model.widht=3"], "did you mean model.width"),
        (["run", "modle=mlp"], "did you mean model"),
        (["run", "model=resnte"], "model=resnte: model has no such option: did you mean resnet?: mlp, conv"),
        (["run", "model.width=wide"], "model.width=wide: expected int"),
        (["run", "model.width=-3"], "model.width=-3: expected int >= 1"),
        (["run", "model.width=0"], "model.width=0: expected int >= 1"),
        (["run", "optim.batch_size=5000"], "larger than the 898 training examples"),
        (["run", "data=cifar10", "data.download=false"], "cifar-10-batches-py/data_batch_1 is missing"),
        (["run", "seed=99999999999999999999"], "seed"),
        (["run", "nonsense"], "not an override"),
        (["run", "--config-dir", "nowhere"], "there is no such folder"),
        (["run", "model.width=8,16"], "use isoflop sweep"),
        (["run", "out=/proc/none/here"], "No such file or directory"),
        (["run", "-m", "model.width=8,16", "model.widht=1"], "did you mean model.width"),
        (["run", "-m", "model.width=8,0", *TINY[1:]], "expected int >= 1"),
        (["sweep", "model=mlp,resnet"], "axis is a value"),
        (
            ["sweep", "data=digits,mnist"],
            "several data sets would be fitted as one curve: give the command once",
        ),
        (["sweep", "data.name=digits,mnist"], "digits and mnist would be fitted as one curve"),
        (["sweep", "sweep=digits", "optim.batch_size=5000"], "larger than the 898"),
        (["sweep", "sweep=digist"], "did you mean digits?"),
        (["flops", "resnet", "--input", "3,x,3"], "channels,height,width"),
        (["flops", "resnet", "--classes", "0"], "at least 1"),
        (["flops", "resnte"], "did you mean resnet?"),
        (["flops", "torchvision:resnet1"], "did you mean resnet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_of_a_run_is_one_line_exit_2_and_nothing_written(
    arguments: list[str], message: str, here: Path, error_line: Callable[[], str]
) -> None:
    check_bad_input(arguments, message, here, error_line)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--bogus"], "isoflop run has no option --bogus: see isoflop run --help"),
        (["run", "--agian"], "isoflop run has no option --agian: did you mean --again?"),
        (["fit", "nowhere", "--lwas=m4"], "isoflop fit has no option --lwas: did you mean --laws?"),
        (["paper", "all", "--quik"], "did you mean --quick?"),
        (["meter", "python", "x.py", "--lr", "3"], "isoflop meter [OPTIONS] -- python x.py --lr 3"),
        (["meter", "--idel", "2", "python"], "isoflop meter has no option --idel: did you mean --idle?"),
        (["config", "nosuch"], "no group, option or key is called nosuch"),
        (["config", "lr"], "did you mean optim.lr?"),
        (["config", "model/vti"], "did you mean model/vit?"),
        (["config", "model=vit"], "isoflop run model=vit --cfg job shows what it sets"),
        (["config", "--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
        (["config", "--json", "/none/here.json"], "a folder that exists"),
        (["aggregate", "nowhere"], "no records folder"),
        (["fit", "nowhere"], "nowhere: no such file or folder"),
        (["report", "nowhere"], "nowhere: no such file or folder"),
        (["fit", "nowhere", "--resamples", "3"], "at least 100"),
        (["fit", "nowhere", "model.width=3"], "does not take model.width=3"),
        (["doctor", "--json", "/none/here.json"], "a folder that exists"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    arguments: list[str], message: str, here: Path, error_line: Callable[[], str]
) -> None:
    check_bad_input(arguments, message, here, error_line)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "isoflop: swep is no verb: did you mean sweep?: see isoflop --help"),
        (["xyzzy"], "isoflop: xyzzy is no verb: choose from run, sweep,"),
        (["paper", "grwoth"], "isoflop: grwoth is no verb: did you mean growth?: see isoflop paper --help"),
        (["run", "--cfg", "hydra"], "argument -c/--cfg: hydra is no choice: choose from job"),
        (["completion", "bahs"], "argument SHELL: bahs is no choice: did you mean bash?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_verb_or_choice_gets_the_nearest(
    arguments: list[str], message: str, error_line: Callable[[], str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main.main(arguments)
    assert left.value.code == output.INPUT
    assert message in error_line()


def test_traces_only_with_debug(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["run", "--debug", "model.width=0"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]], ids=" ".join)
def test_help_needs_no_heavy_import(arguments: list[str]) -> None:
    code = (
        "import sys; from isoflop.cli import main\n"
        f"try: main.main({arguments})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'hydra', 'pandas', 'scipy', 'matplotlib', 'plotly', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.torch
@pytest.mark.parametrize(
    ("command", "goes_on"), [(["run"], True), (["sweep"], True), (["flops", "mlp"], False)]
)
def test_only_a_verb_that_keeps_something_says_how_to_go_on(
    command: list[str], goes_on: bool, monkeypatch: pytest.MonkeyPatch, error_line: Callable[[], str]
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    for module in (flops, run, sweeping):
        monkeypatch.setattr(module, "compose_config", interrupt)
    assert main.main(command) == output.INTERRUPTED
    assert (
        error_line()
        .rstrip()
        .endswith("interrupted: run the same command again to go on" if goes_on else "interrupted")
    )


AT_EXIT = """
import atexit, os, signal, subprocess, sys
from isoflop import signals
signals.interrupt_on_stop()
signals.ignore_stop()
os.kill(os.getpid(), signal.SIGTERM)  # survived: the exit code is still to come
child = "import signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
atexit.register(lambda: subprocess.run([sys.executable, "-c", child], check=True))
"""


def test_what_is_started_at_the_exit_can_be_stopped() -> None:
    done = subprocess.run([sys.executable, "-c", AT_EXIT], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


CTRL_C_AT_EXIT = """
import os, signal, sys
from isoflop import signals
if sys.argv[1] == "background":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what runs in its background
signals.ignore_stop()
for _ in range(int(sys.argv[2])):
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("started", "presses", "code"),
    [("foreground", 1, 0), ("foreground", 2, -signal.SIGINT), ("background", 2, 0)],
)
def test_ctrl_c_at_the_exit_says_nothing_and_a_second_one_ends_a_process_that_hangs(
    started: str, presses: int, code: int
) -> None:
    command = [sys.executable, "-c", CTRL_C_AT_EXIT, started, str(presses)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
