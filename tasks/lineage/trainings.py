"""Networks: what each was trained for and on, and which of them a clip went into."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from tasks.layout import Layout
from tasks.records.training import CHECKPOINT, TrainingEnd, TrainingRecord
from tasks.store import Store
from tasks.stored import read_records
from tasks.training.header import header_of


@dataclass(frozen=True)
class Training:
    """`end`: None while it goes on, or where it was killed. `replaced`: a later one has published under the name of its
    network, which was deleted before."""

    record: TrainingRecord
    end: TrainingEnd | None
    replaced: bool = False

    @property
    def network_sha256(self) -> str | None:
        return self.end.network_sha256 if self.end else None

    def role_of(self, uri: str | None, digests: Collection[str]) -> str | None:
        """What a clip was to it, by its URI or a digest: "style", "corpus" or None."""
        if uri == self.record.job.style or self.record.style_sha256 in digests:
            return "style"
        if any(uri in one.uris or one.sha256 in digests for one in self.record.sources):
            return "corpus"
        return None

    def clips(self) -> Iterable[tuple[str, str]]:
        """(URI, digest) of all that it read."""
        yield self.record.job.style, self.record.style_sha256
        for one in self.record.sources:
            for uri in one.uris:
                yield uri, one.sha256

    def objects(self, store: Store, layout: Layout) -> list[str]:
        """Where what it learned lies: its network, if that is its own, and its checkpoint."""
        checkpoint, network = layout.training(self.record.run_id, CHECKPOINT), self._network(layout)
        own = not self.replaced if self.end else self._published(store, network)  # killed between network and end
        return [network, checkpoint] if own else [checkpoint]

    def _network(self, layout: Layout) -> str:
        return layout.model(self.record.style_sha256, self.record.job.training.name)

    def _published(self, store: Store, network: str) -> bool:
        if store.stat(network) is None:
            return False
        try:
            return header_of(store.read(network).data).get("run_id") == self.record.run_id
        except ValueError:
            return False

    def about(self, layout: Layout) -> dict[str, Any]:
        record, job = self.record, self.record.job
        return {
            "training": record.run_id,
            "network": self._network(layout) if self.end and not self.replaced else None,
            "network_sha256": self.network_sha256,
            "style_uri": job.style,
            "style_sha256": record.style_sha256,
            "corpus_uri": job.corpus,
            "corpus_sha256": record.corpus_sha256,
            "sources": len(record.sources),
            "steps": self.end.steps if self.end else None,
            "code_version": record.code_version,
            "host": record.host,
            "ended_at": self.end.ended_at if self.end else None,
        }


def read_trainings(store: Store, layout: Layout) -> list[Training]:
    """All trainings, oldest first. Raises OutOfReach where a record is damaged, PairError (storage)."""
    records = read_records(store, layout.trainings(), TrainingRecord, ending="/training.json")
    ends = {end.run_id: end for end in read_records(store, layout.trainings(), TrainingEnd, ending="/end.json")}
    records = sorted(records, key=lambda one: one.created_at)
    by_end = sorted((one for one in records if one.run_id in ends), key=lambda one: ends[one.run_id].ended_at)
    last = {(one.style_sha256, one.job.training.name): one.run_id for one in by_end}
    return [
        Training(one, ends.get(one.run_id), last.get((one.style_sha256, one.job.training.name)) != one.run_id)
        for one in records
    ]


def clips_of(trainings: Iterable[Training]) -> set[tuple[str, str]]:
    """(URI, digest) of all that trainings have read."""
    return {clip for training in trainings for clip in training.clips()}
