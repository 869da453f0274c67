"""Processes as tests look at them and end them (Linux: /proc)."""

import os
import time
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


def wait_for(condition, what, seconds=240):
    """Wait until `condition` gives something true, and return that. `what`: words, or what gives them at the end."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {seconds} s for {what() if callable(what) else what}"
        time.sleep(0.05)
    return found


def cpu_seconds(pid):
    """What a process has used of the processors so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def children_of(pid):
    """Live descendants of a process, by their parents: /proc/PID/task/*/children misses some as others come and go."""
    parents = {child: parent_of(child) for child in map(int, filter(str.isdigit, os.listdir("/proc")))}
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        kids = [child for child, above in parents.items() if above == parent]
        found += kids
        todo += kids
    return found


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[1])
    except OSError:
        return None


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
