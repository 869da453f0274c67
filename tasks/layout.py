"""Where everything lies under the root (the blueprint's layout), in one place."""

from dataclasses import dataclass

from tasks.store import join


@dataclass(frozen=True)
class Layout:
    root: str

    def here(self, uri: str) -> str:
        """What a row names of ours, below the root as it is called now: a store may have been moved as a whole."""
        parts = uri.split("/")[-4:]
        return join(self.root, *parts) if len(parts) == 4 and parts[1].startswith("night=") else uri

    def below(self, uri: str) -> str:
        """The path from the root."""
        return uri.removeprefix(self.root.rstrip("/") + "/")

    def results(self) -> str:
        return join(self.root, "results")

    def run(self, run_id: str, name: str) -> str:
        return join(self.root, "runs", run_id, name)

    def runs(self) -> str:
        return join(self.root, "runs")

    def all_audio(self) -> str:
        return join(self.root, "audio")

    def night_results(self, night: str) -> str:
        return join(self.results(), f"night={night}")

    def run_results(self, night: str, run_id: str) -> str:
        return join(self.night_results(night), f"run={run_id}")

    def lineage(self, night: str, run_id: str, number: int = 0) -> str:
        """One file as a rule; a large run has further ones beside it."""
        name = f"run={run_id}.{number:04d}.jsonl" if number else f"run={run_id}.jsonl"
        return join(self.root, "lineage", f"night={night}", name)

    def all_curves(self) -> str:
        return join(self.root, "curves")

    def compacted(self) -> str:
        return join(self.root, "compacted")

    def part(self, night: str, generation: int, part: int, sha256: str) -> str:
        name = f"part-{part:05d}.{sha256[:12]}.parquet"
        return join(self.compacted(), f"night={night}", f"{generation:04d}", name)

    def generation(self, night: str, number: int) -> str:
        return join(self.compacted(), f"night={night}", f"_generation-{number:04d}.json")

    def tombstones(self) -> str:
        return join(self.root, "tombstones")

    def tombstone(self, sha256: str) -> str:
        return join(self.tombstones(), f"{sha256}.json")

    def votes(self) -> str:
        return join(self.root, "votes")

    def vote(self, run_id: str, session: str, trial: int) -> str:
        return join(self.votes(), f"run={run_id}", f"{session}-{trial:04d}.parquet")

    def models(self, style_sha256: str) -> str:
        """The folder of the networks of one style."""
        return join(self.root, "models", style_sha256)

    def model(self, style_sha256: str, name: str) -> str:
        return join(self.models(style_sha256), f"{name}.safetensors")

    def trainings(self) -> str:
        return join(self.root, "training")

    def training(self, run_id: str, name: str) -> str:
        return join(self.trainings(), run_id, name)

    def probes(self) -> str:
        return join(self.root, "probe")

    def audio_folder(self, night: str, run_id: str) -> str:
        return join(self.all_audio(), f"night={night}", f"run={run_id}")

    def audio(self, night: str, run_id: str, pair_id: str, sha256: str, extension: str) -> str:
        return join(self.audio_folder(night, run_id), f"{pair_id}.{sha256[:12]}.{extension}")

    def shard_results(self, night: str, run_id: str, shard: int) -> str:
        return join(self.run_results(night, run_id), f"shard-{shard:05d}.parquet")

    def shard_curves(self, night: str, run_id: str, shard: int, sha256: str) -> str:
        return join(self.all_curves(), f"night={night}", f"run={run_id}", f"shard-{shard:05d}.{sha256[:12]}.parquet")


def run_id_of(uri: str) -> str | None:
    """The run that results, audio or curves belong to, from their path."""
    return _key(uri, "run=")


def night_of(uri: str) -> str | None:
    """The night that they belong to."""
    return _key(uri, "night=")


def _key(uri: str, key: str) -> str | None:
    # The last: a root may lie in a folder of that name.
    return next((part.removeprefix(key) for part in reversed(uri.split("/")) if part.startswith(key)), None)
