"""A worker that does what the names of its pairs say, one after the other, and writes down which it began."""

import os
import signal
import time
from pathlib import Path

from tasks import attempts
from tasks.records.pair import Attempt
from tests.orders import orders


def puppet(folder, connection, stop, device, threads):
    folder = Path(folder)
    for order in orders(connection):
        connection.send(("stopped",) if carried_out(folder, order, connection, stop) else ("done",))


def carried_out(folder, order, connection, stop):
    """Whether it was stopped."""
    rows = [pair.manifest_row for pair in order.pairs]
    for pair in order.pairs:
        connection.send(("report", "batch", tuple(rows)))
        with (folder / "log").open("a") as log:
            print(pair.pair_id, os.getppid(), os.getpid(), file=log)
        if pair.pair_id.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if pair.pair_id.startswith("hang"):
            time.sleep(600)
        while pair.pair_id.startswith("wait") and not (folder / "go").exists():
            if stop.is_set():
                return True
            time.sleep(0.02)
        told = {"message": os.environ.get("GRAMOPHONE_S3_REGION"), "cuda": os.environ.get("CUDA_VISIBLE_DEVICES")}
        values = attempts.of_pair(pair) | told | {"status": "ok"}
        if pair.pair_id.startswith("ask"):
            connection.send(("lookup", ["key"]))
            values["served_by"] = connection.recv()["key"]["served_by"]
        connection.send(("attempt", Attempt(pair.manifest_row, values)))
        rows.remove(pair.manifest_row)
    return False
