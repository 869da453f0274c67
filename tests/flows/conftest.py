import io
import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
import soundfile

from flows.cli import main
from tasks.audio import encode
from tasks.clips import synthesise
from tasks.store import join, open_store
from tests.browser import browser

# Short clips, few evaluations: the whole way at a hundredth of the work.
QUICK = {
    "sample_rate": 8_000, "n_fft": 512, "hop_length": 128, "widths": [2, 8], "spectrogram_evaluations": 6,
    "phase_iterations": 2, "refine_evaluations": 4,
}  # fmt: skip
SLOW = QUICK | {"spectrogram_evaluations": 80, "refine_evaluations": 40}
"""Slow enough to be stopped in the middle."""

PATIENCE_SECONDS = 800.0  # with a command on a busy machine; a test that hangs is ended by pytest before


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
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return Result(process.returncode, out, err)

    def ask(self, *arguments, **environment):
        """The command in this process: for those that read or refuse, and say so a start of Python sooner."""
        out, err = io.StringIO(), io.StringIO()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        typed = patch.object(sys, "argv", ["gramophone", *map(str, arguments)])
        with chdir(self.folder), patch.dict(os.environ, environment), typed, redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as left:
                code = left.code
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
        return Result(code, out.getvalue(), err.getvalue())

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


def prefix_of_pairs(bucket, name, pairs):
    """A prefix of its own with a tune, a texture, and a manifest of so many pairs of them."""
    uri = join(bucket, f"{name}-{secrets.token_hex(4)}")
    store = open_store(uri)
    for clip, kind in (("tune", "marimba"), ("texture", "bells")):
        store.create(join(uri, f"{clip}.flac"), encode(synthesise(kind, 1.0, 8_000), 8_000, "flac"))
    rows = [
        {"pair_id": f"p{n}", "content_uri": "tune.flac", "style_uri": "texture.flac", "seed": n} for n in range(pairs)
    ]
    store.create(join(uri, "manifest.parquet"), pd.DataFrame(rows).to_parquet())
    return uri


@pytest.fixture(scope="session", autouse=True)
def heard():
    """Behind a shell's `&` Ctrl-C is ignored, by all children too; by it a Prefect worker ends, also at SIGTERM."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, prefect_server):
    folder = tmp_path_factory.mktemp("desk")
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in QUICK.items())
    # On "cpu" a flow need not ask torch, whose import is half of its start; the demo (tests/test_readme.py) asks.
    settings += 'root = "root"\ndevice = "cpu"\nshard_pairs = 4\nthreads = 1\n'
    (folder / "gramophone.toml").write_text(settings)
    return Desk(folder, dict(os.environ))


@pytest.fixture(params=["local", pytest.param("ray", marks=(pytest.mark.chaos, pytest.mark.timeout(1800)))])
def engine(request, desk):
    """Where the workers of all runs live that are typed meanwhile: on this machine, then on Ray."""
    with patch.dict(desk.environment, GRAMOPHONE_ENGINE=request.param):
        yield request.param


@pytest.fixture(scope="module")
def server(desk):
    """The suite's Prefect server, with the deployments of infra/prefect.yaml."""
    from tests.flows.deployed import deployed  # prefect takes a second to import, for those who deploy

    with deployed(desk) as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found
