"""Several processes that train one run: each takes its share of every batch, gradients are averaged.

DistributedDataParallel averages the gradients while the backward pass still computes others. Running
statistics of batch normalisation are averaged in every step by an all-reduce of their own, so that weights,
optimizer state and statistics hold the same bits in every process and one checkpoint serves all of them.
What is not part of a step (decisions, joules, scores) goes over gloo on the host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import warnings
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import GradBucket
from torch.distributed import PrefixStore, ProcessGroup, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from isoflop.train.state import floating_buffers

T = TypeVar("T")
Exchange = Callable[[Callable[[], object], int], None]
"""Carries out a collective, given as a function, of so many bytes, and returns when it is done."""
FailureState = Literal["failed", "oom"]
FAILURE_KEY = "isoflop/cause"


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """This process as rank `rank` of the `size` that train one run; without a `group` it is the only one.

    The collective methods (`all_gather`, `from_main`, `run_on_all`, `all_reduce`) must be called by every
    process in the same order. They wait for the others, and raise RuntimeError where one of them has ended or
    has been silent for longer than the time-out.

    With `exchange`, each collective of a training step is carried out by it, so that it can be timed;
    without, they run while the backward pass goes on.
    """

    rank: int = 0
    size: int = 1
    group: ProcessGroup | None = None
    store: Store | None = None
    exchange: Exchange | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes records, checkpoints and heartbeats."""
        return self.rank == 0

    def all_gather(self, value: T) -> list[T]:
        """Return the `value` of every process, by rank. Collective."""
        if self.group is None:
            return [value]
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def from_main(self, value: T) -> T:
        """Return the `value` that the main process passed. Collective."""
        return self.all_gather(value)[0]

    def run_on_all(self, make: Callable[[], T]) -> T:
        """Return `make()` of this process; where it raises in one process, raise in all. Collective.

        Raises:
            ValueError, OSError, RuntimeError: what `make` raised here; ValueError, with the rank and the
                message, where it raised in another process only.
        """
        error, made = None, None
        try:
            made = make()
        except (ValueError, OSError, RuntimeError) as problem:
            error = problem
        # Exchanged even after an error: the other processes wait here and would run into the time-out.
        messages = self.all_gather(str(error) if error else None)
        if error is not None:
            raise error
        failures = [f"process {rank}: {text}" for rank, text in enumerate(messages) if text is not None]
        if failures:
            raise ValueError(failures[0])
        return made  # type: ignore[return-value]

    def all_reduce(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over all processes, in place, on its device. Collective."""
        if self.group is not None:
            dist.all_reduce(tensor)

    def report_failure(self, state: FailureState, message: str) -> None:
        """Leave the reason why this process ends where the main process can read it. Not collective."""
        if self.store is not None:
            with contextlib.suppress(RuntimeError):
                self.store.set(FAILURE_KEY, f"{state}\n{message}")

    def reported_failure(self) -> tuple[FailureState, str] | None:
        """Return (state, message) of `report_failure` of any process, or None. Not collective."""
        if self.store is None:
            return None
        try:
            # `get` would wait for a key that nobody has set.
            if not self.store.check([FAILURE_KEY]):
                return None
            state, _, message = self.store.get(FAILURE_KEY).decode().partition("\n")
        except RuntimeError:
            return None
        return cast(FailureState, state), message


SINGLE = World()


def is_peer_failure(error: BaseException) -> bool:
    """Return whether `error` says that another process has ended or does not answer."""
    if isinstance(error, (dist.DistBackendError, dist.DistNetworkError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("gloo" in text or "closed by peer" in text)


@contextlib.contextmanager
def process_group(rank: int, ranks: int, device: torch.device, timeout_seconds: float) -> Iterator[World]:
    """Join the process group of MASTER_ADDR and MASTER_PORT, and leave it at the end.

    It is left only where no exception passes: leaving waits for the others, and a process that fails must end
    at once so that they notice.

    Raises:
        RuntimeError: the other processes did not come within the time-out.
    """
    timeout = datetime.timedelta(seconds=timeout_seconds)
    on_gpu = device.type == "cuda"
    # The store is made here, and not by init_process_group, which would not hand it out.
    shared_store, rank, ranks = next(rendezvous("env://", rank, ranks, timeout=timeout))
    shared_store.set_timeout(timeout)
    store = PrefixStore("isoflop", shared_store)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=rank,
        world_size=ranks,
        timeout=timeout,
        device_id=device if on_gpu else None,
    )
    # Python objects are exchanged on the host: NCCL would copy them through the GPU and wait for its queue.
    host = dist.new_group(backend="gloo", timeout=timeout)
    assert isinstance(host, ProcessGroup)
    yield World(rank, ranks, host, store)
    dist.destroy_process_group()


def seed_of(seed: int, rank: int, step: int = 0) -> int:
    """Return the seed of the random numbers that a model draws (dropout) in process `rank` from `step` on.

    It is `seed` itself for rank 0, so that a run of one process is the same with and without a process group.
    """
    if rank == 0:
        return seed
    digest = hashlib.sha256(f"{seed}/{rank}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def with_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Return the model with batch normalisation over the batches of all processes; the same parameters."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return converted


def data_parallel(world: World, model: nn.Module) -> nn.Module:
    """Return a module to call in place of `model`: its backward pass leaves the mean of all gradients.

    The parameters stay the same tensors. Without a process group it is `model` itself. Collective.
    """
    if world.group is None:
        return model
    with warnings.catch_warnings():
        # torch 2.15 calls the option forward_sync_buffers; torch 2.11 knows only the old name.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        wrapped = DistributedDataParallel(
            model,
            # A broadcast would give every process rank 0's running statistics and drop what the others saw,
            # and only before the next forward pass: an evaluation would find other numbers in each process.
            broadcast_buffers=False,
            # Gradients are views of the buffers that are reduced, which saves a copy of each.
            gradient_as_bucket_view=True,
            # Which parameters get gradients never changes (update.updates relies on it too); those that get
            # none are allowed.
            static_graph=True,
        )
    if (exchange := world.exchange) is not None:
        # A lambda, as torch looks at the annotations of a hook and here they are texts.
        wrapped.register_comm_hook(None, lambda _, bucket: _average(bucket, exchange, world.size))
    return wrapped


def _average(bucket: GradBucket, exchange: Exchange, size: int) -> Future[Tensor]:
    """Average a bucket of gradients over all processes, as a hook of DistributedDataParallel."""
    gradients = bucket.buffer().div_(size)
    exchange(lambda: dist.all_reduce(gradients), gradients.nbytes)
    done: Future[Tensor] = Future()
    done.set_result(gradients)
    return done


class BufferAverage:
    """Averages the floating-point buffers of a model over all processes, in place, by one all-reduce.

    For batch normalisation's running statistics that is the mean over all parts of the batch. They are final
    after the forward pass and read by nobody before the next evaluation, so the all-reduce runs beside the
    backward pass: `start` before it, `finish` after it. Both do nothing for a model without such buffers.
    """

    def __init__(self, world: World, model: nn.Module) -> None:
        self._size, self._buffers, self._exchange = world.size, floating_buffers(model), world.exchange
        self._lengths = [buffer.numel() for buffer in self._buffers]
        self._pending: tuple[Tensor, dist.Work | None] | None = None

    def start(self) -> None:
        """Begin to add up the buffers of all processes. Collective."""
        if self._buffers:
            flat = torch.cat([buffer.flatten() for buffer in self._buffers])
            if self._exchange is not None:
                self._exchange(lambda: dist.all_reduce(flat), flat.nbytes)
                self._pending = flat, None
                return
            work = dist.all_reduce(flat, async_op=True)
            assert work is not None
            self._pending = flat, work

    def finish(self) -> None:
        """Wait for the sums and write the means into the buffers."""
        if self._pending is not None:
            flat, work = self._pending
            if work is not None:
                work.wait()
            flat.div_(self._size)
            for buffer, mean in zip(self._buffers, torch.split(flat, self._lengths), strict=True):
                buffer.copy_(mean.view_as(buffer))
            self._pending = None
