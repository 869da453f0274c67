"""Networks: what each was trained for and on, and which of them a clip went into."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from tasks.layout import Layout
from tasks.records.training import CHECKPOINT, TrainingEnd, TrainingRecord
from tasks.store import Store
from tasks.stored import read_records


@dataclass(frozen=True)
class Training:
    """`end`: None while it goes on, or where it was killed: then there is no network yet."""

    record: TrainingRecord
    end: TrainingEnd | None

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

    def objects(self, layout: Layout) -> list[str]:
        """Where what it learned lies: its network and its checkpoint."""
        record = self.record
        checkpoint = layout.training(record.run_id, CHECKPOINT)
        return [layout.model(record.style_sha256, record.job.training.name), checkpoint] if self.end else [checkpoint]

    def about(self, layout: Layout) -> dict[str, Any]:
        record, job = self.record, self.record.job
        return {
            "training": record.run_id,
            "network": layout.model(record.style_sha256, job.training.name) if self.end else None,
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
    return [Training(one, ends.get(one.run_id)) for one in sorted(records, key=lambda one: one.created_at)]


def clips_of(trainings: Iterable[Training]) -> set[tuple[str, str]]:
    """(URI, digest) of all that trainings have read."""
    return {clip for training in trainings for clip in training.clips()}
