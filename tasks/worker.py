"""A worker process of a device: spawned, kept warm between shards, replaced when it dies or hangs.

Messages from the worker: ("ready",) once, then ("report", stage, rows), ("attempt", Attempt), ("lookup", keys),
and at the end of each order ("done",) or ("stopped",).
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from tasks.device_lock import device_lock
from tasks.done import Served
from tasks.records.pair import Attempt, Pair
from tasks.records.run import Options, RunRecord
from tasks.uncollected import uncollected

FOR_THE_FLOW = (signal.SIGINT, signal.SIGTERM)
START_SECONDS = 120.0
"""What a worker may take to come up (torch is imported) before it counts as hung."""


class WorkerLost(Exception):
    """The worker died or was killed for hanging; `rows` is what it had in hand."""

    def __init__(self, rows: tuple[int, ...], how: str, hung: bool) -> None:
        super().__init__(how)
        self.rows, self.how, self.hung = rows, how, hung

    def __reduce__(self) -> tuple[type["WorkerLost"], tuple[tuple[int, ...], str, bool]]:
        return (WorkerLost, (self.rows, self.how, self.hung))  # crosses process borders


@dataclass(frozen=True)
class Order:
    """What a worker is told: pairs of one run, and where they belong. No credentials, no open files."""

    root: str
    run: RunRecord
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Listener:
    """What the flow's side does with a worker's messages."""

    attempt: Callable[[Attempt], None]
    report: Callable[[str, tuple[int, ...]], None]
    lookup: Callable[[list[str]], dict[str, Served]]
    stopping: Callable[[], bool]


class InHand:
    """The rows of an order that a worker has in hand, as its messages tell, which are passed on to the listener."""

    def __init__(self, order: Order, listener: Listener) -> None:
        self.rows = tuple(pair.manifest_row for pair in order.pairs)
        self._listener = listener

    def take(self, message: tuple[Any, ...]) -> dict[str, Served] | None:
        """Hear a message; returns what a look-up has found, which the worker waits for."""
        match message:
            case ("attempt", attempt):
                self.rows = tuple(row for row in self.rows if row != attempt.manifest_row)
                self._listener.attempt(attempt)
            case ("lookup", keys):
                return self._listener.lookup(keys)
            case ("report", stage, rows):
                self.rows = self.rows if stage in ("spectrogram", "phase", "refine") else rows
                self._listener.report(stage, rows)
        return None


class AnyWorker(Protocol):
    """What carries out orders on one device, wherever that is. Not for two threads at once."""

    def reserved(self, stopping: Callable[[], bool]) -> AbstractContextManager[bool]:
        """Wait for its device, and hold it; False where it is not to be had now, or we stop."""

    def run(self, order: Order, listener: Listener, timeout_seconds: float) -> bool:
        """Carry out an order. True: done; False: stopped on request. Raises WorkerLost, or what the listener raises."""

    def close(self) -> None:
        """Let it end; the next order starts another."""


Entry = Callable[[Connection, Any, str, int], None]


class Worker:
    """The flow's handle of one worker process on this machine. Not for two threads at once."""

    def __init__(self, device: str, threads: int, entry: Entry | None = None, seat: int = 0) -> None:
        self.device, self.threads, self._seat = device, threads, seat
        self._entry = entry or serve
        self._process: Any = None
        self._stop: Any = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def reserved(self, stopping: Callable[[], bool]) -> AbstractContextManager[bool]:
        """Hold its seat on the device against other runs on this machine."""
        return device_lock(self.device, stopping, self._seat)

    def run(self, order: Order, listener: Listener, timeout_seconds: float) -> bool:
        """Carry out an order. True: done; False: stopped on request. Raises WorkerLost, or what the listener raises."""
        try:
            return self._run(order, listener, timeout_seconds)
        except BaseException:
            self.kill()  # it is in the middle of something
            raise

    def _run(self, order: Order, listener: Listener, timeout_seconds: float) -> bool:
        in_hand = InHand(order, listener)
        self._ensure_started(in_hand.rows)
        self._stop.clear()
        self._connection.send(order)
        heard = time.monotonic()
        while True:
            if listener.stopping():
                self._stop.set()
            if not wait([self._connection, self._process.sentinel], timeout=0.2):
                if time.monotonic() - heard > timeout_seconds:
                    raise WorkerLost(in_hand.rows, f"no progress for {timeout_seconds:g} s", hung=True)
                continue
            try:
                message = self._connection.recv()
            except (EOFError, OSError) as error:
                raise self._lost(in_hand.rows) from error
            heard = time.monotonic()
            if message in (("done",), ("stopped",)):
                return bool(message == ("done",))
            if (found := in_hand.take(message)) is not None:
                self._connection.send(found)

    def _lost(self, in_hand: tuple[int, ...]) -> WorkerLost:
        """What to raise when the worker's end of the pipe is gone."""
        self._process.join(5)
        return WorkerLost(in_hand, _how(self._process.exitcode), hung=False)

    def close(self) -> None:
        """Let the process end by itself, if there is one; the next order starts another."""
        if self._process is not None:
            self._connection.close()
            self._process.join(5)
            self.kill()

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        if self._process is None:
            return
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = self._stop = None  # the event's semaphores go now, not when the interpreter does

    def _ensure_started(self, in_hand: tuple[int, ...]) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self.kill()
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._connection, theirs = context.Pipe()
        # Not a daemon: it has children of its own, the decoders. It watches its parent instead.
        self._process = context.Process(
            target=self._entry, args=(theirs, self._stop, self.device, self.threads), name=f"gramophone-{self.device}"
        )
        with signals_kept_back():
            self._process.start()
        theirs.close()
        try:
            if not self._connection.poll(START_SECONDS):
                raise WorkerLost(in_hand, f"its worker did not come up in {START_SECONDS:g} s", hung=True)
            self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._lost(in_hand) from error


@contextmanager
def signals_kept_back() -> Iterator[None]:
    """Nor does a process that is started here, or one that it starts, hear what is for the flow: Prefect's cancel, as a
    terminal's Ctrl-C, goes to the whole group. `serve` says that it never will.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_FLOW)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"its worker process was ended by {signal.Signals(-exitcode).name}"
    return f"its worker process ended with code {exitcode}"


# --- in the worker process ------------------------------------------------------------------------


def serve(connection: Connection, stop: Any, device: str, threads: int) -> None:
    """The worker's life: take orders until the flow's side is gone."""
    # Signals are for the flow, which tells us to stop; a terminal's Ctrl-C reaches every process.
    for number in FOR_THE_FLOW:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_FLOW)
    from tasks.decoding import DecodePool, die_with_parent

    die_with_parent()
    with uncollected():
        import torch

        import tasks.stylise  # noqa: F401 - for the first order
        from tasks.computing import set_up
        from tasks.stylise.inputs import style_shelf

    set_up(threads)
    pool, shelf = DecodePool(min(4, os.cpu_count() or 1)), style_shelf()
    connection.send(("ready",))
    try:
        while True:
            _carry_out(connection.recv(), connection, stop, torch.device(device), pool, shelf)
    except EOFError:
        pool.close()


def _carry_out(order: Order, connection: Connection, stop: Any, device: Any, pool: Any, shelf: Any) -> None:
    from tasks.layout import Layout
    from tasks.store import open_store
    from tasks.stylise import Stopped, Stylist

    context = device_columns(device)

    def emit(attempt: Attempt) -> None:
        attempt.values = context | attempt.values
        connection.send(("attempt", attempt))

    def lookup(keys: list[str]) -> dict[str, Served]:
        connection.send(("lookup", keys))
        found: dict[str, Served] = connection.recv()
        return found

    def report(stage: str, rows: tuple[int, ...]) -> None:
        connection.send(("report", stage, rows))

    stylist = Stylist(
        store=open_store(order.root),
        layout=Layout(order.root),
        run=order.run,
        device=device,
        pool=pool,
        lookup=lookup,
        emit=emit,
        report=report,
        stopping=stop.is_set,
        shelf=shelf,
    )
    try:
        stylist.stylise(order.pairs)
        connection.send(("done",))
    except Stopped:
        connection.send(("stopped",))


def device_columns(device: Any) -> dict[str, Any]:
    """What a results row says of the device that computed it, given as torch's or by its name."""
    import platform

    import torch

    gpu = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if gpu else f"cpu {platform.machine()}",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if gpu else None,
        "threads": None if gpu else torch.get_num_threads(),
    }


def crowd(options: Options, device: str, cores: int) -> tuple[int, int]:
    """How many workers a device of a machine with so many cores has, and how many threads each of them."""
    many = options.workers_per_device or (1 if device == "cpu" else 2)
    return many, options.threads or max(1, cores // many)


def devices(wanted: str) -> Sequence[str]:
    """The devices that `auto`, `cpu`, `cuda` or `cuda:N` means on this machine. Raises OutOfReach."""
    from tasks.records.reasons import OutOfReach

    if wanted == "cpu":
        return ["cpu"]
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [f"cuda:{n}" for n in range(count)]
    if wanted == "auto":
        return found or ["cpu"]
    chosen = found if wanted == "cuda" else [d for d in found if d == wanted]
    if not chosen:
        raise OutOfReach(
            f"no device {wanted} on this machine (it has {', '.join(['cpu', *found])}); use --device auto."
        )
    return chosen
