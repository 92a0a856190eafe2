"""Several processes that train one cell: each takes its share of every batch, gradients are averaged.

One all-reduce a step, of one flat buffer that holds the gradients and the running statistics of batch
normalisation, so that weights, moments and statistics are the same bits in every process. What is not a
tensor of the step (decisions, joules, scores) goes over gloo on the host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup, Store  # type: ignore[attr-defined]

from isoflop.train.state import trained

T = TypeVar("T")
Broken = Literal["failed", "oom"]
CAUSE = "isoflop/cause"


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """This process among the `ranks` that train one cell. Where there is no `group` it is alone.

    Every method that says *all* must be called by all ranks, in the same order; it waits for the others and
    raises RuntimeError where one of them has ended or is silent for longer than the time-out.
    """

    rank: int = 0
    size: int = 1
    group: ProcessGroup | None = None
    store: Store | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes: records, checkpoints, signs of life."""
        return self.rank == 0

    def all_gather(self, value: T) -> list[T]:
        """All: everyone's value, by rank."""
        if self.group is None:
            return [value]
        found: list[T] = [value] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def from_main(self, value: T) -> T:
        """All: the chief's value."""
        return self.all_gather(value)[0]

    def run_on_all(self, make: Callable[[], T]) -> T:
        """All: what `make` returns here. Where it raises anywhere it raises everywhere.

        Raises:
            ValueError, OSError: its own; a ValueError in those where it did not raise.
        """
        error, made = None, None
        try:
            made = make()
        except (ValueError, OSError, RuntimeError) as problem:
            error = problem
        words = self.all_gather(str(error) if error else None)
        if error is not None:
            raise error
        if bad := [f"process {rank}: {text}" for rank, text in enumerate(words) if text is not None]:
            raise ValueError(bad[0])
        return made  # type: ignore[return-value]

    def all_reduce(self, tensor: Tensor) -> None:
        """All: put everyone's sum in the place of `tensor`, on the device it is on."""
        if self.group is not None:
            dist.all_reduce(tensor)

    def report_failure(self, state: Broken, words: str) -> None:
        """Leave word of what ends this process, for a chief that will only see it go."""
        if self.store is not None:
            with contextlib.suppress(RuntimeError):
                self.store.set(CAUSE, f"{state}\n{words}")

    def reported_failure(self) -> tuple[Broken, str] | None:
        """(state, words) that another process left, or None."""
        if self.store is None:
            return None
        try:
            if not self.store.check([CAUSE]):
                return None
            state, _, words = self.store.get(CAUSE).decode().partition("\n")
        except RuntimeError:
            return None
        return cast(Broken, state), words


SINGLE = World()


def is_peer_failure(error: BaseException) -> bool:
    """Whether `error` says that another process is gone or silent."""
    if isinstance(error, (dist.DistBackendError, dist.DistNetworkError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("gloo" in text or "closed by peer" in text)


@contextlib.contextmanager
def process_group(rank: int, ranks: int, device: torch.device, timeout_seconds: float) -> Iterator[World]:
    """The world of the processes that MASTER_ADDR and MASTER_PORT bring together.

    Left in good order only where no exception passes: a process that fails must end, not wait for others.

    Raises:
        RuntimeError: the others did not come within the time-out.
    """
    timeout = datetime.timedelta(seconds=timeout_seconds)
    on_gpu = device.type == "cuda"
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        rank=rank,
        world_size=ranks,
        timeout=timeout,
        device_id=device if on_gpu else None,
    )
    host = dist.new_group(backend="gloo", timeout=timeout)
    assert isinstance(host, ProcessGroup)
    yield World(rank, ranks, host, dist.distributed_c10d._get_default_store())
    dist.destroy_process_group()


def seed_of(seed: int, rank: int, step: int = 0) -> int:
    """The seed of a process's own random numbers (dropout): `seed` itself for rank 0."""
    if rank == 0:
        return seed
    digest = hashlib.sha256(f"{seed}/{rank}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def with_sync_batchnorm(model: nn.Module) -> nn.Module:
    """The model with batch normalisation over the batches of all processes; the same parameters."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return converted


class Exchange:
    """Averages gradients and floating buffers over a world, in place: one all-reduce of a flat buffer."""

    def __init__(self, world: World, model: nn.Module) -> None:
        self._ranks, self._parameters = world.size, trained(model)
        self._buffers = [b.detach() for b in model.buffers() if b.is_floating_point()]
        shown = [*self._parameters, *self._buffers]
        assert len({(t.dtype, t.device) for t in shown}) == 1, "one type and device for all"
        self._sizes = [tensor.numel() for tensor in shown]
        self._flat = torch.zeros(sum(self._sizes), dtype=shown[0].dtype, device=shown[0].device)
        self._views = [
            part.view(tensor.shape)
            for part, tensor in zip(torch.split(self._flat, self._sizes), shown, strict=True)
        ]

    def __call__(self) -> None:
        """All: the average in the place of each. A parameter without a gradient has none in any process."""
        held = [p.grad for p in self._parameters] + list(self._buffers)
        pairs = [(view, tensor) for view, tensor in zip(self._views, held, strict=True) if tensor is not None]
        views, tensors = [view for view, _ in pairs], [tensor for _, tensor in pairs]
        torch._foreach_copy_(views, tensors)
        dist.all_reduce(self._flat)
        self._flat.div_(self._ranks)
        torch._foreach_copy_(tensors, views)
