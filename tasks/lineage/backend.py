"""The OpenLineage backend that events are sent to, where one is configured."""

import os
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Self

import openlineage.client
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent

from tasks.hush import hush
from tasks.records.reasons import OutOfReach

CONFIGURED_BY = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
hush(openlineage.client)  # it logs the backend's address with its password


class Backend:
    """After its first fault nothing more is sent, and the end raises OutOfReach; `kept` says where the events are."""

    def __init__(self, kept: str) -> None:
        self._kept = kept
        self._configured = any(os.environ.get(name) for name in CONFIGURED_BY)
        self._client: OpenLineageClient | None = None
        self._fault: str | None = None

    def __enter__(self) -> Self:
        return self

    def sent(self, events: Iterable[RunEvent]) -> Iterator[RunEvent]:
        """The events, each of them sent on its way."""
        for event in events:
            if self._configured and self._fault is None:
                self._send(event)
            yield event

    def _send(self, event: RunEvent) -> None:
        try:
            self._client = self._client or OpenLineageClient()
            self._client.emit(deepcopy(event))  # it adds to it, and may rename its datasets
        except Exception as error:  # which may quote the backend's address with its password, or the key
            self._fault = _why(error)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._client is not None:
                self._client.close()
        except Exception as error:
            self._fault = self._fault or _why(error)
        if self._fault and kind is None:
            raise OutOfReach(
                f"they are in {self._kept}; the backend that they were sent to is at fault: {self._fault}"
            ) from None


def _why(error: BaseException) -> str:
    """Of what a request failed, in words that hold nothing of it: the status, the system's error, or its kind."""
    answer, kind = getattr(error, "response", None), type(error).__name__
    if answer is not None:
        return f"it answered {answer.status_code}"
    while error.__context__ and not getattr(error, "strerror", None):
        error = error.__context__
    return getattr(error, "strerror", None) or kind
