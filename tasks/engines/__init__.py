"""Where the workers of a run live: on this machine, or on the nodes of a Ray cluster."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.records.run import Options
from tasks.worker import AnyWorker, Worker, crowd, devices

MAX_WORKERS = 1_024
"""Each has a thread of the flow for itself, made when it is first needed."""


@contextmanager
def workers_for(options: Options) -> Iterator[list[AnyWorker]]:
    """The workers of a run, some for each device; what they live in ends with this.

    Raises OutOfReach, or UsageError, where there are none.
    """
    if options.engine == "local":
        yield _here(options)
        return
    from tasks.engines.ray_cluster import joined, made

    with joined(options.ray_address) if options.ray_address else made() as cluster:
        from tasks.engines.ray_workers import workers_on  # imports Ray, which has been told how

        yield workers_on(cluster, options)[:MAX_WORKERS]


def _here(options: Options) -> list[AnyWorker]:
    """The last are taken first: one for each device before a second for any."""
    found = devices(options.device)
    many, threads = crowd(options, found[0], os.cpu_count() or 1)
    return [Worker(device, threads, seat=seat) for seat in reversed(range(many)) for device in found]
