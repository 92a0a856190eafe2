"""GPUs that CUDA would use: every form of CUDA_VISIBLE_DEVICES, both orders, GPUs of one model or several."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from isoflop.meter.device import visible
from isoflop.meter.device.visible import HIDDEN, NO_GPU, ListedGpu, VisibleGpus, apply_environment

A = "GPU-8f14e45f-ceea-467f-a1b2-00000000000a"
B = "GPU-8f99aaaa-ceea-467f-a1b2-00000000000b"
ONE_MODEL = (ListedGpu(A, "NVIDIA H100"), ListedGpu(B, "NVIDIA H100"))
TWO_MODELS = (ListedGpu(A, "NVIDIA T4"), ListedGpu(B, "NVIDIA H100"))
MIG = "MIG-11111111-2222-3333-4444-555555555555"

INDICES: dict[str | None, tuple[str, ...]] = {
    None: (A, B),
    "": (),
    "-1": (),
    "NoDevFiles": (),
    "0": (A,),
    "1": (B,),
    "0,1": (A, B),
    "1,0": (B, A),
    " 1 , 0 ": (B, A),
    "0,-1,1": (A,),
    "0,2,1": (A,),
    "2": (),
    "7,0": (),
    "0,0": (),
    "1,0,1": (),
    "0,,1": (A,),
    "0,1,": (A, B),
    "+1": (B,),
    "1x": (B,),
    f"0,{B}": (A,),
    f"1,{MIG}": (B,),
}
UUIDS: dict[str, tuple[str, ...]] = {
    A: (A,),
    B: (B,),
    f"{A},{B}": (A, B),
    f"{B},{A}": (B, A),
    f" {B} , {A} ": (B, A),
    "GPU-8f14": (A,),
    "GPU-8f99aaaa-ceea": (B,),
    "GPU-8f": (),
    "GPU-": (),
    "GPU-8f99,GPU-8f14": (B, A),
    "GPU-8f99,GPU-8f": (B,),
    "GPU-0000": (),
    f"{A},GPU-0000,{B}": (A,),
    f"{A},{A}": (),
    f"{A},GPU-8f14": (),
    f"{A},1": (A,),
    f"{B},{MIG}": (B,),
}
MIG_UUIDS: dict[str, tuple[str, ...]] = {
    MIG: (MIG,),
    f"{MIG},{MIG[:-1]}6": (MIG,),
    f"MIG-{B}/1/0": (B,),
}
ORDERS = (None, "FASTEST_FIRST", "PCI_BUS_ID", "nonsense")


def environment(devices: str | None, order: str | None) -> dict[str, str]:
    named = {"CUDA_VISIBLE_DEVICES": devices, "CUDA_DEVICE_ORDER": order}
    return {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("devices", INDICES)
def test_indices_over_gpus_of_one_model(devices: str | None, order: str | None) -> None:
    gpus = apply_environment(environment(devices, order), ONE_MODEL)
    assert gpus == VisibleGpus(INDICES[devices], None if INDICES[devices] else HIDDEN)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("devices", INDICES)
def test_indices_over_gpus_of_two_models_are_never_guessed(devices: str | None, order: str | None) -> None:
    gpus, expected = apply_environment(environment(devices, order), TWO_MODELS), INDICES[devices]
    if order == "PCI_BUS_ID" or len(expected) != 1:  # none or all of them, whatever the order
        assert gpus.uuids is not None
        assert set(gpus.uuids) == set(expected)
    else:
        assert gpus.uuids is None
        assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID" in str(gpus.reason)


@pytest.mark.parametrize("listed", [ONE_MODEL, TWO_MODELS])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("devices", UUIDS | MIG_UUIDS)
def test_uuids_do_not_depend_on_the_order(
    devices: str, order: str | None, listed: tuple[ListedGpu, ...]
) -> None:
    expected = (UUIDS | MIG_UUIDS)[devices]
    assert apply_environment(environment(devices, order), listed) == VisibleGpus(
        expected, None if expected else HIDDEN
    )


def test_without_a_gpu_nothing_is_visible() -> None:
    assert apply_environment({"CUDA_VISIBLE_DEVICES": "0"}, ()) == VisibleGpus((), NO_GPU)


@pytest.mark.parametrize("devices", [d for d in INDICES if d is not None])
def test_torch_reads_indices_likewise(devices: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own reading of the variable, which does not know how many GPUs there are."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    theirs: list[Any] = list(torch.cuda._parse_visible_devices())
    valid = theirs[: next((i for i, index in enumerate(theirs) if index not in (0, 1)), len(theirs))]
    assert tuple((A, B)[index] for index in valid) == INDICES[devices]


# ---- the driver's answers


class Driver:
    """libcuda with so many GPUs, whose UUIDs end in 0, 1 ...; `fails` maps a function to its error."""

    def __init__(self, count: int, fails: dict[str, int] | None = None) -> None:
        self.count, self.fails = count, fails or {}

    def cuInit(self, flags: int) -> int:
        return self.fails.get("cuInit", 0)

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.count
        return self.fails.get("cuDeviceGetCount", 0)

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = index
        return self.fails.get("cuDeviceGet", 0)

    def cuDeviceGetUuid(self, raw: Any, device: Any) -> int:
        raw[15] = device.value
        return self.fails.get("cuDeviceGetUuid", 0) if device.value == 0 else 0


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_the_drivers_list_is_taken_as_it_is(count: int, known: bool) -> None:
    whole = [f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(count)]
    found = visible._query_driver(Driver(count), set(whole) if known else set())
    assert found == VisibleGpus(tuple(whole), None if count else HIDDEN)


def test_a_uuid_that_no_whole_gpu_has_is_that_of_an_instance() -> None:
    known = {"GPU-00000000-0000-0000-0000-000000000000"}
    assert visible._query_driver(Driver(2), known).uuids == (
        "GPU-00000000-0000-0000-0000-000000000000",
        "MIG-00000000-0000-0000-0000-000000000001",
    )


@pytest.mark.parametrize("function", ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetUuid"])
def test_an_error_of_the_driver_is_named_and_gives_no_list(function: str) -> None:
    answer = VisibleGpus(None, "the CUDA driver answered with error 999")
    assert visible._query_driver(Driver(2, {function: 999}), set()) == answer


@pytest.mark.parametrize(("known", "reason"), [({"GPU-a"}, HIDDEN), (set(), NO_GPU)])
def test_a_driver_without_devices(known: set[str], reason: str) -> None:
    assert visible._query_driver(Driver(0, {"cuInit": 100}), known) == VisibleGpus((), reason)


# ---- in a child, over the stubs of both libraries

STUBS = tuple(f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2))


@pytest.fixture(scope="session")
def cuda_stub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the CUDA stub with")
    folder = tmp_path_factory.mktemp("cuda-stub")
    source = Path(__file__).parents[1] / "cuda_stub.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", source], check=True)
    return folder


@pytest.fixture
def cuda(stub: pytest.MonkeyPatch, nvml_stub_folder: Path, cuda_stub_folder: Path) -> pytest.MonkeyPatch:
    stub.setenv("LD_LIBRARY_PATH", f"{cuda_stub_folder}:{nvml_stub_folder}")
    return stub


def test_the_drivers_answer_has_priority(cuda: pytest.MonkeyPatch) -> None:
    cuda.setenv("STUB_CUDA", "10")
    cuda.setenv("CUDA_VISIBLE_DEVICES", "0")  # which the driver has taken into account, and knows better
    assert visible.visible_gpus() == VisibleGpus((STUBS[1], STUBS[0]), None)
    cuda.setenv("STUB_CUDA", "7")
    assert visible.visible_gpus() == VisibleGpus(("MIG-00000000-0000-0000-0000-000000000007",), None)
    cuda.setenv("STUB_CUDA_INIT", "100")
    assert visible.visible_gpus() == VisibleGpus((), HIDDEN)
    cuda.setenv("STUB_CUDA_INIT", "999")
    assert visible.visible_gpus() == VisibleGpus(None, "the CUDA driver answered with error 999")


def test_without_nvml_the_driver_still_lists_its_gpus(
    cuda: pytest.MonkeyPatch, cuda_stub_folder: Path
) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a real NVIDIA driver")
    cuda.setenv("LD_LIBRARY_PATH", str(cuda_stub_folder))
    cuda.setenv("STUB_CUDA", "1")
    assert visible.visible_gpus() == VisibleGpus(STUBS[1:], None)


def test_without_the_driver_the_variable_is_read(stub: pytest.MonkeyPatch) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a real NVIDIA driver")
    stub.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible.visible_gpus() == VisibleGpus(STUBS[1:], None)
    stub.setenv("STUB_OTHER", "1")
    assert visible.visible_gpus().uuids is None
    assert visible.visible_gpus({"LD_LIBRARY_PATH": ""}).uuids == ()


def test_a_child_that_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    gpus = visible.visible_gpus()
    assert gpus.uuids is None
    assert "could not be queried" in str(gpus.reason)
