"""The parallel index by the command and by the API: the same numbers, without torch for stored shapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import isoflop
from isoflop.cli.main import main

DIGITS = str(Path(__file__).parents[2] / "results/digits-cpu")
TEXT = str(Path(__file__).parents[2] / "results/language-isoflop-h200")


def test_a_table_of_stored_shapes(capsys):
    assert main(["parallel", "--predict", DIGITS, "--devices", "2", "--link", "gloo-loopback"]) == 0
    shown = capsys.readouterr().out
    assert "resnet w16 d3" in shown
    assert "measured: 45 runs of 15 sizes" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.slow
def test_stored_shapes_import_no_torch():
    script = (
        "import sys, isoflop; isoflop.predict_parallel(sys.argv[1], devices=2); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, DIGITS], check=True, capture_output=True, text=True, env=os.environ
    )
    assert done.stdout == "False\n"


def test_the_command_and_the_api_say_the_same(capsys):
    arguments = ["--devices", "2,4", "--link", "12GB/s,20us", "--gpu-tflops", "0.02"]
    assert main(["parallel", "--predict", DIGITS, *arguments, "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    made = isoflop.predict_parallel(DIGITS, devices=[2, 4], link="12GB/s,20us", gpu_tflops=0.02)
    assert json.loads(made.to_json()) == shown
    assert len(made.table) == 30
    assert set(made.table["devices"]) == {2, 4}
    first = shown["indices"][0]["scaled"][0]
    assert made.table["efficiency"][0] == pytest.approx(first["efficiency"])
    assert "resnet w1 d1" in repr(made)


def test_larger_shapes_of_a_sweep_scale_better():
    table = isoflop.predict_parallel(DIGITS, devices=2, link="gloo-loopback").table
    widths = table[table["depth"] == 3].sort_values("width")
    assert widths["efficiency"].is_monotonic_increasing


def test_a_file_is_written_only_where_it_is_asked_for(tmp_path):
    made = isoflop.predict_parallel(DIGITS, devices=2, link="ib-ndr")
    assert made.to_json(tmp_path / "index.json") is None
    assert json.loads((tmp_path / "index.json").read_text())["indices"]


def test_links_are_listed(capsys):
    assert main(["parallel", "--links"]) == 0
    shown = capsys.readouterr().out
    assert "nvlink4          371 GB/s" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["parallel", "--links", "--json", "-"]) == 0
    assert {each["name"] for each in json.loads(capsys.readouterr().out)} >= {"nvlink3", "ethernet-10"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([DIGITS, "--devices", "1"], "--devices 1: one device has no other to wait for: give 2 or more"),
        ([DIGITS, "--devices", "4,2"], "--devices 4,2: give numbers that increase"),
        ([DIGITS, "--devices", "2,2"], "--devices 2,2: give numbers that increase"),
        ([DIGITS, "--link", "nvlink44"], "--link nvlink44: no such link: did you mean nvlink4?"),
        (
            [DIGITS, "--devices", "3"],
            "optim.batch_size=32 cannot be shared by 3 devices: try optim.batch_size=33",
        ),
        ([DIGITS, "--link", "measured"], "parallel holds no training on several workers"),
        ([DIGITS, "--share", "2"], "--share 2: a share of the peak is at most 1"),
        ([DIGITS, "--gpu-tflops", "0"], "--gpu-tflops 0: give a number above 0"),
        ([DIGITS, "--gpu-tflops", "1", "--device", "h100"], "leave --device and --share out"),
        ([DIGITS, "model=vit"], "give one folder of a sweep, or overrides: not both"),
        (["nowhere"], "nowhere: no such folder"),
        ([], "say what to predict"),
        (["model=vitt"], "model has no such option"),
        (["model=mlp", "--link", "ethernet-10"], "no GPU goes with it alone"),
        (["model=mlp", "--device", "abacus"], "--device abacus: its peak rate is not known"),
        ([DIGITS, "--rates-of", "nowhere"], "nowhere: no records folder here"),
    ],
)
def test_bad_input_is_one_line(arguments, line, capsys):
    assert main(["parallel", "--predict", *arguments]) == 2
    shown = capsys.readouterr()
    assert line in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_number_that_is_none(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["parallel", "--predict", DIGITS, "--devices", "two"])
    assert caught.value.code == 2
    assert "two: give whole numbers" in capsys.readouterr().err


def test_errors_name_arguments_as_python_does():
    with pytest.raises(ValueError, match=r"^devices= ?1: one device"):
        isoflop.predict_parallel(DIGITS, devices=1)
    with pytest.raises(ValueError, match=r"^link= ?nvlink44: no such link: did you mean nvlink4\?"):
        isoflop.predict_parallel(DIGITS, link="nvlink44")


def test_windows_that_cannot_be_shared_are_left_out_and_named():
    made = isoflop.predict_parallel(TEXT, devices=16, link="nvlink4")
    assert {each.shape.rows for each in made.result.indices} == {16, 32, 64}
    assert any("batch 2048, is left out" in note for note in made.result.notes)
    assert any("joins at most 8 devices" in note for note in made.result.notes)


def test_a_new_shape_without_torch_names_the_extra(without, monkeypatch, capsys):
    monkeypatch.setattr("isoflop.extras.installed", lambda module: module != "torch")
    assert main(["parallel", "--predict", "model=mlp"]) == 2
    assert "needs torch, which is not installed: pip install 'isoflop[train]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.torch
def test_new_shapes_and_a_table_of_several(capsys):
    given = ["model=mlp", "model.width=16,32", "model.depth=2", "optim.batch_size=64"]
    assert main(["parallel", "--predict", *given, "--devices", "2,8", "--layer-us", "5"]) == 0
    shown = capsys.readouterr().out
    assert "mlp w16 d2" in shown
    assert "mlp w32 d2" in shown
    one = isoflop.predict_parallel(["model=mlp", "model.width=16"], devices=2, layer_us=5)
    (index,) = one.result.indices
    assert index.shape.gradients == 64 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10
    assert index.shape.chain.products == 3
    shown = repr(one)
    assert "depth against width at equal FLOPs, on 2 devices" in shown
    assert "2 (asked)" in shown
    assert max(map(len, shown.splitlines())) <= 80
