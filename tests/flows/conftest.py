import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from tasks.clips import synthesise

# Short clips, few evaluations: the whole way at a hundredth of the work.
QUICK = {
    "sample_rate": 8_000, "n_fft": 512, "hop_length": 128, "widths": [2, 8], "spectrogram_evaluations": 6,
    "phase_iterations": 2, "refine_evaluations": 4,
}  # fmt: skip


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Desk:
    """A working directory with a manifest, from which commands are typed."""

    folder: Path
    environment: dict

    def start(self, *arguments, **environment):
        """The command as a process of its own, for those who want to kill it."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)],
            cwd=self.folder, env=self.environment | environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def type(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=240)
        return Result(process.returncode, out, err)

    def clip(self, name, seconds=1.0, kind="pluck", rate=8_000, suffix="wav"):
        path = self.folder / f"{name}.{suffix}"
        soundfile.write(path, synthesise(kind, seconds, rate), rate)
        return path

    def manifest(self, rows, name="manifest.parquet"):
        pd.DataFrame(rows).to_parquet(self.folder / name)
        return name

    @property
    def root(self):
        return f"file://{self.folder}/root"


@pytest.fixture(scope="module")
def desk(tmp_path_factory, prefect_server):
    folder = tmp_path_factory.mktemp("desk")
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in QUICK.items())
    (folder / "gramophone.toml").write_text(f'root = "root"\nshard_pairs = 4\nthreads = 1\n{settings}')
    return Desk(folder, dict(os.environ))
