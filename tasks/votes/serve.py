"""The page of a blind comparison: the browser learns letters and loudness, and nothing else of the sounds."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.records.reasons import OutOfReach, PairError, Reason, UsageError
from tasks.report.rendering import rendered, text_of
from tasks.report.serve import Listening
from tasks.votes.ballot import Ballot
from tasks.votes.trials import Stimulus

MOST_BYTES = 64_000
QUESTIONS = {
    "preference": "Which do you prefer?",
    "content": "How near does each come to the tune of the content?",
    "style": "How near does each come to the texture of the style?",
}


@dataclass(frozen=True)
class Booth:
    """Serves one ballot, at addresses below `listening`'s own."""

    listening: Listening
    ballot: Ballot
    listener: str = ""

    @property
    def page(self) -> str:
        return f"{self.listening.before}/blind/"

    def routes(self) -> list[Route]:
        sound = f"{self.page}{{trial:int}}"
        return [
            Route(self.page, self._page),
            Route(f"{sound}/sound/{{letter}}", partial(self.listening.answer, self._sound)),
            Route(f"{sound}/open/{{role}}", partial(self.listening.answer, self._open)),
            Route(f"{sound}/vote", self._vote, methods=["POST"]),
            Route(f"{self.page}reveal", self._reveal),
        ]

    async def _page(self, request: Request) -> Response:
        ballot = self.ballot
        text = rendered(
            "tasks.votes",
            "blind.html.j2",
            data={"kind": ballot.kind, "trials": [self._told(n) for n in range(len(ballot.trials))]},
            kind=ballot.kind,
            question=QUESTIONS[ballot.aspect or "preference"],
            aspect=ballot.aspect,
            listener=self.listener,
            root=self.listening.root,
            run_id=ballot.run_id,
            own_style=text_of("tasks.votes", "blind.css"),
            script=text_of("tasks.votes", "blind.js"),
        )
        return Response(text, media_type="text/html", headers={"cache-control": "no-store"})

    def _told(self, number: int) -> dict[str, Any]:
        """What a trial looks like before it is judged: known inputs, and letters."""
        trial = self.ballot.trials[number]
        known = {}
        for role in ("content", "style"):
            n = next(i for i, one in enumerate(trial.row["inputs"]) if one["role"] == role)
            known[role] = {"src": f"{number}/open/{role}"} | _slice(Stimulus("reference", "", trial.row, n))
        letters = {name: {"src": f"{number}/sound/{name}"} | _slice(one) for name, one in trial.lettered().items()}
        return {"open": known, "letters": letters}

    def _sound(self, trial: int, letter: str) -> tuple[str, bytes]:
        stimulus = self._trial(trial).lettered().get(letter)
        if stimulus is None:
            raise PairError(Reason.INPUT_MISSING, f"trial {trial} has no sound {letter}")
        row = stimulus.row
        if stimulus.number is None:
            return self.listening.output(row["audio_uri"])
        return self.listening.input(row["run_id"], row["manifest_row"], stimulus.number)

    def _open(self, trial: int, role: str) -> tuple[str, bytes]:
        row = self._trial(trial).row
        numbers = [n for n, one in enumerate(row["inputs"]) if one["role"] == role]
        if not numbers:
            raise PairError(Reason.INPUT_MISSING, f"trial {trial} has no input {role}")
        return self.listening.input(row["run_id"], row["manifest_row"], numbers[0])

    def _trial(self, number: int) -> Any:
        if not 0 <= number < len(self.ballot.trials):
            raise PairError(Reason.INPUT_MISSING, f"there is no trial {number}")
        return self.ballot.trials[number]

    async def _vote(self, request: Request) -> Response:
        try:
            text = await _body(request)
            if text is None:
                return JSONResponse({"error": f"a vote has at most {MOST_BYTES:,} bytes"}, 413)
            said = json.loads(text)
            fields = said["scores"], said["heard"], said["listener"]
            if [type(field) for field in fields] != [dict, dict, str]:
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            return JSONResponse({"error": "a vote is {scores: {}, heard: {}, listener: ''}"}, 400)
        try:
            new = await run_in_threadpool(self.ballot.cast, request.path_params["trial"], *fields)
        except UsageError as error:
            return JSONResponse({"error": str(error)}, 400)
        except (PairError, OutOfReach) as error:
            return JSONResponse({"error": str(error)}, 502)
        return JSONResponse({"kept": new}, 201 if new else 200)

    async def _reveal(self, request: Request) -> Response:
        """What each letter was: asked for when all is voted."""
        return JSONResponse(
            [{letter: one.condition for letter, one in trial.lettered().items()} for trial in self.ballot.trials]
        )


async def _body(request: Request) -> bytes | None:
    """What was sent, no further than MOST_BYTES; None: it is more."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > MOST_BYTES:
            return None
    return bytes(found)


def _slice(stimulus: Stimulus) -> dict[str, Any]:
    """The part that is heard, and how loud it is: of an input and of an output as the row says."""
    row = stimulus.row
    if stimulus.number is None:
        seconds = row["audio_frames"] / row["audio_rate"]
        return {"start": 0.0, "seconds": seconds, "lufs": row["loudness_lufs"]}
    one = row["inputs"][stimulus.number]
    return {"start": one["start"] or 0.0, "seconds": one["seconds"], "lufs": row[f"{one['role']}_loudness_lufs"]}
