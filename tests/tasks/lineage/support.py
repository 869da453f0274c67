"""Runs over clips that are there, written by hand through the functions by which real ones are."""

from hashlib import sha256

from tasks import attempts
from tasks.overrides import checked
from tasks.records.pair import Attempt, Input, Pair
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
