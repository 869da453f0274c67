"""Runs over clips that are there, written by hand through the functions by which real ones are."""

from datetime import UTC, datetime
from hashlib import sha256

from tasks import attempts
from tasks.overrides import checked
from tasks.records.pair import Attempt, Input, Pair
from tasks.records.training import CHECKPOINT, TrainedOn, TrainingEnd, TrainingJob, TrainingRecord
from tasks.results import commit_shard
from tasks.store import join, open_store
from tests.tasks.test_standing import History


class Library(History):
    """A history whose inputs and outputs lie in the store, as bytes."""

    def clip(self, name, data=None):
        """Store a clip (again), and say where it is."""
        uri = join(self.root, "clips", name)
        self.store.replace(uri, data or name.encode())
        return uri

    def pair(self, row, content, style, **params):
        """A pair as a worker that has read its inputs knows it."""
        return Pair(row, f"p{row}", (self._read("content", content), self._read("style", style)), "optimise",
                    checked(params))  # fmt: skip

    def _read(self, role, uri):
        blob = open_store(uri).read(uri)
        return Input(role, uri, etag=blob.etag, sha256=blob.sha256)

    def made(self, run, pair, data=None, **values):
        """The attempt that stored a pair's output."""
        data = data or f"{run.run_id} {pair.key()}".encode()
        digest = sha256(data).hexdigest()
        uri = self.layout.audio(run.night, run.run_id, pair.name, digest, "flac")
        self.store.keep(uri, data)
        curves = {"stage": ["refine"], "total": [0.5], "content": [0.5], "style": [0.5], "picture_content": b"drawn"}
        values = {"status": "ok", "audio_uri": uri, "audio_sha256": digest, "audio_bytes": len(data),
                  "audio_rate": 8_000, "audio_frames": 8_000} | values  # fmt: skip
        return Attempt(pair.manifest_row, attempts.of_pair(pair) | values, curves)

    def started(self, run_id, pairs, parent=None, manifest="m"):
        """A run over so many pairs that may read what lies under the root."""
        names = [f"p{n}" for n in range(pairs)]
        run = self.run(run_id, names, parent=parent, manifest=manifest)
        allowed = run.model_copy(update={"allowed": (self.root,)})
        self.store.replace(self.layout.run(run_id, "run.json"), allowed.model_dump_json().encode())
        return allowed

    def commit(self, run, *found, shard=0, **context):
        commit_shard(self.store, self.layout, run, shard, found, context)

    def trained(self, run_id, style, *contents, ended=True):
        """A training for a style on contents: its records, checkpoint and network, as bytes."""
        read = [self._read("content", uri) for uri in contents]
        by_digest = {one.sha256: tuple(r.uri for r in read if r.sha256 == one.sha256) for one in read}
        record = TrainingRecord(
            run_id=run_id, created_at=datetime.now(UTC), style_sha256=self._read("style", style).sha256,
            corpus_sha256="c" * 64, sources=tuple(TrainedOn(sha256=s, uris=u) for s, u in by_digest.items()),
            allowed=(self.root,), code_version="1", host="h1",
            job=TrainingJob(style=style, corpus=join(self.root, "clips"), root=self.root),
        )  # fmt: skip
        self.store.create(self.layout.training(run_id, "training.json"), record.model_dump_json().encode())
        self.store.replace(self.layout.training(run_id, CHECKPOINT), b"so far")
        if not ended:
            return None
        weights = f"network {run_id}".encode()
        uri = self.layout.model(record.style_sha256, record.job.training.name)
        self.store.keep(uri, weights)
        end = TrainingEnd(
            run_id=run_id, why="steps", message="done", network_uri=uri, network_sha256=sha256(weights).hexdigest(),
            curves_uri="", steps=9, best_step=9, seconds=1.0, training_total=1.0, training_style=1.0,
            validation_total=None, validation_style=None, validation_refusal="few", untouched_style=None,
            ended_at=datetime.now(UTC),
        )  # fmt: skip
        self.store.create(self.layout.training(run_id, "end.json"), end.model_dump_json().encode())
        return end
