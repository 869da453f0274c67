import os
import secrets
import signal
import subprocess
import sys

from tasks.at_work import at_work, is_working

HOLD = """
import sys
from tasks.at_work import at_work
with at_work(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_is_at_work_as_long_as_somebody_says_so():
    run_id = secrets.token_hex(4)
    assert not is_working(run_id)
    with at_work(run_id):
        assert is_working(run_id)
    assert not is_working(run_id)


def test_a_run_whose_process_was_killed_is_at_work_no_more():
    run_id = secrets.token_hex(4)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, run_id], **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        assert is_working(run_id)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not is_working(run_id)
