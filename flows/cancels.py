"""A cancel in Prefect's UI, heeded by the flow itself.

To tell a flow is its worker's part. But when the server was away for half a minute, the worker tells a run that went on
meanwhile no more (Prefect 3.8: the run's FlowRunCancellingObserver gives up after three looks), and a flow that was
typed has no worker.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled

from flows.session import Session

LOOK_EVERY_SECONDS = 10.0
SECONDS_AT_THE_END = 5.0


def heeding_cancels(session: Session, body: Callable[[], State[Any]]) -> State[Any]:
    """What a flow's body returns. A cancel meanwhile is a SIGTERM to this process, as a worker sends it.

    Then it is Cancelled, with the body's message: from Cancelling Prefect lets a run go nowhere else.
    """
    if flow_run.id is None:
        return body()
    heard, over = threading.Event(), threading.Event()
    looking = threading.Thread(
        target=_look, args=(UUID(str(flow_run.id)), session, heard, over), name="cancels", daemon=True
    )
    looking.start()
    try:
        state = body()
    finally:
        over.set()
        looking.join(SECONDS_AT_THE_END)  # a last look
    return Cancelled(message=state.message) if heard.is_set() else state


def _look(run: UUID, session: Session, heard: threading.Event, over: threading.Event) -> None:
    ended = False
    while not ended:
        ended = over.wait(LOOK_EVERY_SECONDS)
        with suppress(Exception), get_client(sync_client=True) as client:  # an API that is away: the next time
            state = client.read_flow_run(run).state
            if state is None or not state.is_cancelling():
                continue
            heard.set()
            if over.is_set():
                return
            if not session.catching:  # the process ends at once: nobody says so afterwards
                client.set_flow_run_state(run, Cancelled(message="cancelled before anything was written"))
            os.kill(os.getpid(), signal.SIGTERM)
            return
