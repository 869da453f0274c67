"""A decoder that does to itself what a file says; alone in its module, since its process imports little else."""

import os
import signal
import threading

from tasks.audio import decode, probe


def hostile(data, **options):
    suffer(data)
    return decode(data, **options)


def hostile_probe(data, **options):
    suffer(data)
    return probe(data, **options)


def suffer(data):
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"hang":
        threading.Event().wait()
    if data == b"bug":
        raise KeyError("of its own")
