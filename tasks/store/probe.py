"""Does a store keep create-only writes apart? It is asked before results are entrusted to it."""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

from tasks.records.reasons import OutOfReach, PairError
from tasks.store.base import AlreadyExists, Store, join

ROUNDS = RACERS = 8


def probe(store: Store, root: str) -> None:
    """Eight rounds of eight racing creations below `root`/probe, all at once, then they are removed.

    A store that ignores the condition lets several win, one that checks first and writes then sometimes. Raises
    OutOfReach where the store cannot be written, read back, or lets more than one win.
    """
    name = secrets.token_hex(8)
    uris = [join(root, "probe", f"{name}-{number}") for number in range(ROUNDS)]
    gate = Barrier(ROUNDS * RACERS)

    def race(number: int) -> str | None:
        uri = uris[number % ROUNDS]
        gate.wait()
        try:
            store.create(uri, b"%d" % number)
        except AlreadyExists:
            return None
        return uri

    try:
        with ThreadPoolExecutor(ROUNDS * RACERS) as pool:
            won = Counter(uri for uri in pool.map(race, range(ROUNDS * RACERS)) if uri)
            there = list(pool.map(lambda uri: store.read(uri).data, uris))
    except PairError as error:
        raise OutOfReach(f"{root} cannot be written: {error.message}.") from error
    finally:
        with suppress(PairError), ThreadPoolExecutor(ROUNDS) as pool:  # who may not delete leaves them to `gc`
            list(pool.map(store.delete, uris))
    if any(won[uri] != 1 for uri in uris) or not all(there):
        raise OutOfReach(
            f"{root} does not keep create-only writes: of {RACERS} writers of one object "
            f"{max(won.values(), default=0)} were told that they created it. Results would be lost there; use a store "
            "with conditional writes (If-None-Match), such as AWS S3 or SeaweedFS 4, or a folder."
        )
