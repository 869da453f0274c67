"""The pairs of a shard in their worker process: each ends in one attempt, handed on as soon as its audio is stored."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from tasks import attempts
from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.plan import Served
from tasks.records.pair import Attempt, Pair
from tasks.records.run import RunRecord
from tasks.roots import Roots
from tasks.store import Store
from tasks.stylise.batch import Stopped, batches, transfer_batch
from tasks.stylise.inputs import Loaded, load
from tasks.stylise.output import write
from tasks.transfer.pipeline import Outcome, Step

CPU_BATCH_MB = 4_000


@dataclass
class Stylist:
    """Restyles pairs of one run on one device and hands on each attempt as soon as its audio is stored.

    `lookup` finds earlier `ok` rows by pair_key, `emit` takes the attempts, `report` hears what is in hand.
    """

    store: Store
    layout: Layout
    run: RunRecord
    device: torch.device
    pool: DecodePool
    lookup: Callable[[list[str]], dict[str, Served]]
    emit: Callable[[Attempt], None]
    report: Callable[[str, tuple[int, ...]], None]
    stopping: Callable[[], bool]

    def stylise(self, pairs: Sequence[Pair]) -> None:
        """Every pair ends in one attempt. Raises Stopped when asked to stop; what was emitted stays."""
        loaded = self._unserved(self._load_all(pairs))
        for batch in batches(loaded, self._budget_mb()):
            self._batch(batch)

    def _load_all(self, pairs: Sequence[Pair]) -> list[Loaded]:
        roots = Roots(self.run.allowed)

        def one(pair: Pair) -> Loaded | Attempt:
            started_at = datetime.now(UTC)
            try:
                return load(pair, roots, self.pool)
            except Exception as error:  # one pair fails alone, whatever it is
                return attempts.failed(pair, error, started_at)

        loaded = []
        rows = tuple(pair.manifest_row for pair in pairs)
        with ThreadPoolExecutor(8) as threads:
            for result in threads.map(one, pairs):
                self._check_stop()
                self.report("read", rows)
                if isinstance(result, Attempt):
                    self.emit(result)
                else:
                    loaded.append(result)
        return loaded

    def _unserved(self, loaded: Sequence[Loaded]) -> list[Loaded]:
        """Emit the pairs that an earlier attempt serves; the rest is to be computed."""
        keys = {one.pair.manifest_row: one.pair.key() for one in loaded}
        found = {} if self.run.options.force else self.lookup(list(keys.values()))
        rest = []
        for one in loaded:
            row = found.get(keys[one.pair.manifest_row])
            if row is None:
                rest.append(one)
            else:
                self.emit(attempts.served(one.pair, row, one.started_at))
        return rest

    def _batch(self, batch: Sequence[Loaded]) -> None:
        rows = tuple(one.pair.manifest_row for one in batch)

        def on_step(step: Step) -> None:
            self._check_stop()
            self.report(step.stage, tuple(rows[i] for i in step.active if i < len(rows)))

        self.report("batch", rows)
        for one, outcome in zip(batch, transfer_batch(batch, self.device, on_step), strict=True):
            self.report("write", (one.pair.manifest_row,))
            self.emit(self._written(one, outcome))

    def _written(self, one: Loaded, outcome: Outcome | Exception) -> Attempt:
        try:
            if not isinstance(outcome, Outcome):
                raise outcome
            restyled = write(one, outcome)
            uri = self.layout.audio(
                self.run.night,
                self.run.run_id,
                one.pair.name,
                restyled.values["audio_sha256"],
                one.params.audio_format,
            )
            self.store.commit(uri, restyled.data)  # its name is its digest
        except Exception as error:
            return attempts.failed(one.pair, error, one.started_at)
        values = attempts.of_pair(one.pair) | restyled.values
        values |= {"audio_uri": uri, "started_at": one.started_at, "finished_at": datetime.now(UTC)}
        return Attempt(one.pair.manifest_row, values, restyled.curves)

    def _budget_mb(self) -> float:
        if self.run.options.batch_mb:
            return float(self.run.options.batch_mb)
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0] / 2e6
        return CPU_BATCH_MB

    def _check_stop(self) -> None:
        if self.stopping():
            raise Stopped
