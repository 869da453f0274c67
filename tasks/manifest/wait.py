"""A manifest that may not be there yet."""

import time
from collections.abc import Callable

from tasks.manifest.read import Manifest, NoManifest, read_manifest
from tasks.records.parameters import Parameters
from tasks.records.run import Options
from tasks.store import Store

LOOK_EVERY_SECONDS = 10.0


def await_manifest(
    store: Store,
    uri: str,
    base: Parameters,
    seconds: float,
    tell: Callable[[str], None],
    options: Options | None = None,
    every: float = LOOK_EVERY_SECONDS,
) -> Manifest:
    """Read the manifest, once it is there: at most `seconds` are waited for it. Raises UsageError as `read_manifest`.

    `tell` hears once that it is waited for.
    """
    until, told = time.monotonic() + seconds, False
    while True:
        try:
            return read_manifest(store, uri, base, options)
        except NoManifest as error:
            left = until - time.monotonic()
            if left <= 0:
                if seconds:
                    raise NoManifest(f"{error} Waited {seconds:g} s for it; run again once it is there.") from error
                raise
        if not told:
            tell(f"no manifest at {uri} yet; waiting up to {seconds:g} s for it")
            told = True
        time.sleep(max(0.0, min(every, left)))
