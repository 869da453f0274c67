"""A coverage-guided fuzzer for a bounded time: what ends it is a finding, and is kept in .fuzz/.

`make fuzz SECONDS=600 SEED=7` goes on for longer, from elsewhere.
"""

import hashlib
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.decoding import DecodePool
from tasks.records.reasons import Reason

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
ONE_INPUT_SECONDS, MEMORY_MB, PATIENCE_SECONDS = 20, 1_500, 150
FOUND = Path(__file__).parents[2] / ".fuzz"
TARGETS = ("uris", "manifests", "tables", "sounds")

pytest.importorskip("atheris", reason="the fuzzer has wheels for Linux on x86-64 alone")


@pytest.mark.chaos
@pytest.mark.timeout(4 * SECONDS + 300)
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_a_guided_fuzzer_thinks_of_is_done_or_refused(name, tmp_path):
    target = importlib.import_module(f"tests.fuzz.{name}")
    (tmp_path / "corpus").mkdir()
    FOUND.mkdir(exist_ok=True)
    for data in target.seeds():
        (tmp_path / "corpus" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (tmp_path / "words").write_text("".join(f'"{word}"\n' for word in target.DICTIONARY))
    began, turn, told = time.monotonic(), 0, 0
    while (left := SECONDS - (time.monotonic() - began)) > 0:
        log = _fuzz(name, tmp_path, seconds=max(1, round(left)), seed=SEED + turn)
        turn += 1
        print(f"\n{name}: seed {SEED + turn - 1}, {_figures(log)}")
        for path in _found(name):
            again = f"python -m tests.fuzz.guided {name} {path}"
            assert name == "sounds", f"see it again: {again}\n{_end(log)}"
            assert _is_told(path.read_bytes()), f"see it again: {again}\n{_end(log)}"
            told += 1
            path.unlink()
    ended = f", but for {told} inputs that ended their decoder, which was told" if told else ""
    print(f"{name}: {time.monotonic() - began:.0f} s, nothing found{ended}")


def _fuzz(name, folder, seconds, seed):
    assert not _found(name), f"{_found(name)} of an earlier time: look at it again, mend it, and remove it"
    options = {
        "max_total_time": seconds, "seed": seed, "timeout": ONE_INPUT_SECONDS, "rss_limit_mb": MEMORY_MB,
        "dict": folder / "words", "artifact_prefix": FOUND / f"{name}-", "print_final_stats": 1,
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.fuzz.guided", name, *(f"-{key}={value}" for key, value in options.items())]
    with (folder / "log").open("w+b") as file:
        scratch = os.environ | {"TMPDIR": str(folder)}
        fuzzer = subprocess.Popen([*command, folder / "corpus"], stdout=file, stderr=file, env=scratch)
        try:
            fuzzer.wait(timeout=seconds + PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:  # its own limit for one input did not end it
            fuzzer.send_signal(signal.SIGABRT)
            pytest.fail(f"{name} hangs\n{_end(_log(file))}")
        finally:
            fuzzer.kill()
            fuzzer.wait()
        log = _log(file)
    assert "INITED" in log, _end(log)
    assert fuzzer.returncode == 0 or _found(name), _end(log)
    return log


def _found(name):
    return list(FOUND.glob(f"{name}-*"))


def _log(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def _is_told(data):
    """Whether a worker that hears of it by its decoder, in a process of its own, gets a reason and goes on."""
    sounds, pool = importlib.import_module("tests.fuzz.sounds"), DecodePool(1)
    try:
        outcome = sounds.hear(data, pool.decode, sounds.REASONS | {Reason.WORKER_LOST, Reason.TIMEOUT})
    except AssertionError:
        return False
    finally:
        pool.close()
    return outcome in (Reason.WORKER_LOST, Reason.TIMEOUT)


def _figures(log):
    """Executions, and how many branches and combinations of them were seen at first and at last."""
    runs = re.findall(r"number_of_executed_units: (\d+)", log) or ["?"]
    seen = re.findall(r"cov: (\d+) ft: (\d+)", log)
    branches, ways = (f"{first} -> {last}" for first, last in zip(seen[0], seen[-1], strict=True))
    return f"{runs[0]} inputs, branches {branches}, ways through them {ways}"


def _end(log):
    noise = ("INFO: Instrumenting", "[src/libmpg123", "Note: ")
    return "\n".join(line for line in log.splitlines() if not line.startswith(noise))[-4000:]
