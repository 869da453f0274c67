"""One pair of a batch diverges, raises, hangs or kills its process, in the middle of real work: it fails alone, its
neighbours sound as without it, bit for bit, and finding it costs at most three times the batch."""

import os
import signal
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import soundfile
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tasks import stylise
from tasks.clips import synthesise
from tasks.decoding import DecodePool
from tasks.engines.ray_cluster import made
from tasks.overrides import checked
from tasks.plan import Shard
from tasks.records.pair import Attempt, Input, Pair
from tasks.records.parameters import Parameters
from tasks.records.reasons import PairError
from tasks.records.run import Options, RunRecord
from tasks.roots import Roots
from tasks.shard import Bench, compute
from tasks.stylise import batch
from tasks.transfer.pipeline import Batch, transfer
from tasks.worker import Worker, serve
from tests.flows.conftest import QUICK

CPU, BAD = torch.device("cpu"), 666
"""`BAD` is the seed by which the numerics, which know no names, tell the bad pair."""
REASONS = {
    "diverges": "diverged", "raises": "bug", "hangs": "timeout", "kills its process": "worker_lost",
    "has no room on its device": "oom",
}  # fmt: skip


def poisoned(does, log, items, settings, device):
    """The transfer, and what one of the pairs does to it once its first losses are there."""
    if does == "diverges":
        items = [replace(item, content=item.content * torch.nan) if item.seed == BAD else item for item in items]
    work, begun = transfer(items, settings, device), set()
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            return end.value
        for n in set(step.active) - begun:
            with open(log, "a") as file:
                print(items[n].seed, file=file)
        begun.update(step.active)
        if any(items[n].seed == BAD for n in step.active):
            if does == "kills its process":
                os.kill(os.getpid(), signal.SIGKILL)
            if does == "hangs":
                time.sleep(600)
            if does == "raises":
                raise ZeroDivisionError("in the numerics")
            if does == "has no room on its device":
                raise torch.OutOfMemoryError("tried to allocate much")
        yield step


def serve_poisoned(does, log, *rest):
    batch.transfer = partial(poisoned, does, log)
    serve(*rest)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poison")
    for name, kind in (("tune", "pluck"), ("texture", "drums")):
        soundfile.write(folder / f"{name}.wav", synthesise(kind, 1.0, 8_000), 8_000)
    return folder


def pairs(folder, seeds):
    inputs = (Input("content", f"file://{folder}/tune.wav"), Input("style", f"file://{folder}/texture.wav"))
    return tuple(
        Pair(row, f"p{seed}", inputs, "optimise", checked(QUICK | {"seed": seed})) for row, seed in enumerate(seeds)
    )


@contextmanager
def worker_on(engine, entry):
    """A worker with this entry on this machine, or on a Ray cluster of it."""
    if engine == "local":
        yield Worker("cpu", 1, entry)
        return
    with made() as cluster:
        from tasks.engines.ray_worker import RayWorker  # once Ray knows how

        yield RayWorker(cluster, "cpu", 1, cpus=1, entry=entry)


def computed(folder, root, seeds, does="nothing", engine="local"):
    """What a worker makes of these pairs, by name, and how many computations of a pair were begun for it."""
    log = Path(folder) / f"log-{time.monotonic_ns()}"
    run = RunRecord(
        run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="file:///m",
        manifest_sha256="m", pairs=len(seeds), skipped=0, shards=1, parameters=Parameters(),
        options=Options(timeout_seconds=15), allowed=Roots.resolve([f"file://{folder}"]).uris, code_version="1",
        host="h",
    )  # fmt: skip
    found: dict[int, Attempt] = {}
    with (
        worker_on(engine, partial(serve_poisoned, does, str(log))) as worker,
        closing(Bench(root, run, lambda keys: {}, [worker])) as bench,
    ):
        compute(bench, Shard(0, pairs(folder, seeds)), found)
    return {a.values["pair_id"]: a.values for a in found.values()}, len(log.read_text().split())


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.parametrize("does", REASONS)
def test_of_eight_pairs_in_a_worker_one_fails_alone_that(does, engine, folder, store_root):
    seeds = [1, 2, BAD, 3, 4, 5, 6, 7]
    alone, _ = computed(folder, f"{store_root}-without", [seed for seed in seeds if seed != BAD])
    found, computations = computed(folder, store_root, seeds, does, engine)
    failed = found.pop(f"p{BAD}")
    assert (failed["status"], failed["reason"]) == ("failed", REASONS[does]), failed.get("message")
    assert {name: row["audio_sha256"] for name, row in found.items()} == {
        name: row["audio_sha256"] for name, row in alone.items()
    }
    print(f"{engine}, a pair of eight that {does}: {computations} computations of a pair")
    assert computations <= 3 * len(seeds)


@pytest.fixture(scope="module")
def pieces(folder):
    """By their seeds: the bad one and seven more."""
    pool, roots = DecodePool(1), Roots.resolve([f"file://{folder}"])
    seeds = [1, 2, BAD, 3, 4, 5, 6, 7]
    with closing(pool):
        loaded = [stylise.load(pair, roots, pool) for pair in pairs(folder, seeds)]
    return {seed: stylise.Track(one).pieces[0] for seed, one in zip(seeds, loaded, strict=True)}


@pytest.mark.parametrize("does", ["diverges", "raises"])
def test_a_pair_leaves_its_neighbours_as_they_are_without_it_when_it(does, pieces, tmp_path, monkeypatch):
    def restyled(some):
        return dict(
            zip(some, stylise.transfer_batch([pieces[seed] for seed in some], CPU, lambda _: None), strict=True)
        )

    neighbours = [seed for seed in pieces if seed != BAD]
    alone = restyled(neighbours)
    monkeypatch.setattr(batch, "transfer", partial(poisoned, does, tmp_path / "log"))
    found = restyled(pieces)
    assert isinstance(found[BAD], PairError if does == "diverges" else ZeroDivisionError)
    assert all(torch.equal(found[seed].waveform, alone[seed].waveform) for seed in neighbours)
    assert len((tmp_path / "log").read_text().split()) <= 3 * len(pieces)


class SmallDevice(TorchDispatchMode):
    """Torch on a device that has no room for a tensor of more than `limit` bytes."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.largest = limit, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **kwargs or {})
        size = max((one.nbytes for one in tree_leaves(made) if isinstance(one, torch.Tensor)), default=0)
        self.largest = max(self.largest, size)
        if size > self.limit:
            raise torch.OutOfMemoryError(f"tried to allocate {size} bytes")
        return made


@pytest.mark.parametrize("fit", [0, 3])
def test_a_device_without_room_for_the_batch_does_it_in_parts(fit, pieces, monkeypatch):
    """All items of a batch at once, as on a GPU."""
    sizes, batched = [], list(pieces.values())

    def at_once(items, settings, device):
        sizes.append(len(items))
        return Batch(items, settings, device).run()

    monkeypatch.setattr(batch, "transfer", at_once)
    with SmallDevice(2**62) as roomy:
        stylise.transfer_batch(batched[: max(1, fit)], CPU, lambda step: None)
    sizes.clear()
    with SmallDevice(roomy.largest if fit else roomy.largest - 1):
        found = stylise.transfer_batch(batched, CPU, lambda step: None)
    assert {getattr(one, "reason", None) for one in found} == {None if fit else "oom"}
    print(f"room for {fit} of {len(batched)}: batches of {sizes}, {sum(sizes) / len(batched):.2f} times the batch")
    assert sum(sizes) <= 3 * len(batched)
