"""The work of one model on the terminal, as `isoflop flops` counts it."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from isoflop.cli.terminal.console import OUT


def show(ledger: dict[str, Any]) -> None:
    """Print `flop_ledger.ModelLedger.flat` of one model in MACs and in FLOPs; one MAC is 2 FLOPs."""
    sizes, batch = "x".join(map(str, ledger["input_shape"])), ledger["batch_size"]
    total, multiplied = ledger["parameters"], ledger["parameters_without_embeddings"]
    without = f", {multiplied:,} without embeddings" if multiplied < total else ""
    OUT.print(f"{ledger['name']}: {sizes}, {total:,} parameters{without}", markup=False)
    if ledger["reason"]:
        OUT.print(f"\nFLOPs unknown: {ledger['reason']}", markup=False)
    for note in ledger["notes"]:
        OUT.print(f"\nnote: {note}", markup=False)
    OUT.print(f"\nper example, one MAC = 2 FLOPs; training in batches of {batch}", markup=False)
    _show_work(ledger)
    _show_counters(ledger)
    _show_operations(ledger["forward_macs_by_op"])
    uncounted = ", ".join(ledger["uncounted_ops"]) or "none"
    OUT.print(f"\noperations without a count: {uncounted}", markup=False)
    _show_traffic(ledger)


def _table(first: str, *numbers: str, note: str = "") -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, min_width=22)
    for name in numbers:
        table.add_column(name, justify="right", min_width=11)
    table.add_column(note)
    return table


def _giga(value: float | None) -> str:
    """Return a count in billions, or `unknown`."""
    return "unknown" if value is None else f"{value * 1e-9:,.6g}"


def _show_work(ledger: dict[str, Any]) -> None:
    """Print the work of each phase of training: forward, backward, both, and the optimizer."""
    table = _table("", "GMACs", "GFLOPs")

    def line(name: str, flops: float | None, note: str = "") -> None:
        table.add_row(name, _giga(None if flops is None else flops / 2), _giga(flops), note)

    forward, backward = ledger["inference_flops_per_example"], ledger["backward_flops_per_example"]
    train, ratio = ledger["train_flops_per_example"], ledger["train_to_forward_ratio"]
    line("forward (inference)", forward)
    # A model may do more work in training than in evaluation, as with auxiliary classifiers.
    if train is not None and abs(train - backward - forward) > 1e-4 * forward:
        line("forward (training)", train - backward)
    line("backward", backward)
    expected = "" if ratio is None else f"ratio {ratio:.3f}, expected {ledger['expected_ratio']:.3f}"
    line("training", train, expected)
    step, name = ledger["optimizer_flops_per_step"], f"optimizer ({ledger['optimizer']})"
    if step is None:
        line(name, None, ledger["optimizer_flops_per_step_reason"])
    else:
        table.add_row(name, "-", _giga(step / ledger["batch_size"]), f"{_giga(step)} GFLOPs a step")
    OUT.print(table)


def _show_counters(ledger: dict[str, Any]) -> None:
    """Print what each independent counter gives for the forward pass."""
    table = _table("\nforward, by counter", "\nGMACs")
    for name in ("torch_forward", "fvcore_forward", "closed_form"):
        macs = ledger[f"{name}_macs_per_example"]
        table.add_row(
            name.removesuffix("_forward").replace("_", " "), "none" if macs is None else _giga(macs)
        )
    OUT.print(table)


def _show_operations(by_op: dict[str, float]) -> None:
    table = _table("\nforward, by operation", "\nGMACs", "\nshare")
    total = sum(by_op.values())
    for op, macs in sorted(by_op.items(), key=lambda item: -item[1]):
        table.add_row(op, _giga(macs), f"{macs / total:.2%}")
    OUT.print(table)


def _show_traffic(ledger: dict[str, Any]) -> None:
    """Print the elements moved in training, and the arithmetic intensity that follows in fp32 and bf16."""
    elements, train = ledger["train_elements_per_example"], ledger["train_flops_per_example"]
    if elements is None:
        return
    OUT.print(f"moved in training, unfused: {elements * 1e-6:,.4g} million elements", markup=False)
    if train is not None:
        rates = (f"{train / elements / size:.3g} in {name}" for name, size in (("fp32", 4), ("bf16", 2)))
        OUT.print(f"  that is, FLOPs a byte: {', '.join(rates)}", markup=False)
