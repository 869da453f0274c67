"""The page of a blind comparison: the browser learns letters and loudness, and nothing else of the sounds."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tasks.records.reasons import OutOfReach, PairError, Reason, UsageError, printable
from tasks.records.words import pair_name
from tasks.report.rendering import rendered, text_of
from tasks.report.serve import Listening
from tasks.votes.ballot import Ballot
from tasks.votes.trials import Stimulus, Trial, number_of

MOST_BYTES = 64_000
QUESTIONS = {
    "preference": "Which do you prefer?",
    "content": "How near does each come to the tune of the content?",
    "style": "How near does each come to the texture of the style?",
}


@dataclass(frozen=True)
class Booth:
    """Serves ballots at addresses below `listening`'s own: `draw` makes one for everybody who begins."""

    listening: Listening
    draw: Callable[[], Ballot]
    listener: str = ""
    _ballots: dict[str, Ballot] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Where one begins."""
        return f"{self.listening.before}/blind"

    def routes(self) -> list[Route]:
        session = f"{self.page}/{{session}}"
        return [
            Route(self.page, self._begin),
            Route(f"{session}/", self._page),
            Route(f"{session}/{{trial:int}}/sound/{{letter}}", partial(self.listening.answer, self._sound)),
            Route(f"{session}/{{trial:int}}/known/{{role}}", partial(self.listening.answer, self._known)),
            Route(f"{session}/{{trial:int}}/vote", self._vote, methods=["POST"]),
            Route(f"{session}/reveal", self._reveal),
        ]

    async def _begin(self, request: Request) -> Response:
        ballot = await run_in_threadpool(self.draw)
        self._ballots[ballot.session] = ballot
        return RedirectResponse(f"{self.page}/{ballot.session}/", 303)

    async def _page(self, request: Request) -> Response:
        """The page of a session; once something is voted, a reload begins anew."""
        ballot = self._ballots.get(request.path_params["session"])
        if ballot is None or ballot.voted:
            return RedirectResponse(self.page, 303)
        text = rendered(
            "tasks.votes",
            "blind.html.j2",
            data={"kind": ballot.kind, "trials": [_told(n, trial) for n, trial in enumerate(ballot.trials)]},
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

    def _sound(self, session: str, trial: int, letter: str) -> tuple[str, bytes]:
        stimulus = self._trial(session, trial).lettered().get(letter)
        if stimulus is None:
            raise PairError(Reason.INPUT_MISSING, f"trial {trial} has no sound {letter}")
        row = stimulus.row
        if stimulus.number is None:
            return self.listening.output(row["audio_uri"])
        return self.listening.input(row["run_id"], row["manifest_row"], stimulus.number)

    def _known(self, session: str, trial: int, role: str) -> tuple[str, bytes]:
        row = self._trial(session, trial).row
        number = number_of(row, role)
        if number is None:
            raise PairError(Reason.INPUT_MISSING, f"trial {trial} has no input {role}")
        return self.listening.input(row["run_id"], row["manifest_row"], number)

    def _trial(self, session: str, number: int) -> Trial:
        ballot = self._ballots.get(session)
        if ballot is None or not 0 <= number < len(ballot.trials):
            raise PairError(Reason.INPUT_MISSING, f"there is no trial {number}")
        return ballot.trials[number]

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
            cast = self._ballots[request.path_params["session"]].cast
            new = await run_in_threadpool(cast, request.path_params["trial"], *fields)
        except KeyError:
            return JSONResponse({"error": "there is no such session; begin anew"}, 404)
        except UsageError as error:
            return JSONResponse({"error": str(error)}, 400)
        except (PairError, OutOfReach) as error:
            return JSONResponse({"error": str(error)}, 502)
        return JSONResponse({"kept": new}, 201 if new else 200)

    async def _reveal(self, request: Request) -> Response:
        """What each letter was, once all is voted."""
        ballot = self._ballots.get(request.path_params["session"])
        if ballot is None or not ballot.ended:
            return JSONResponse({"error": "not before all is voted"}, 409)
        return JSONResponse(
            [{letter: _revealed(one) for letter, one in trial.lettered().items()} for trial in ballot.trials]
        )


def _told(number: int, trial: Trial) -> dict[str, Any]:
    """What a page knows of a trial before it is judged: content and style, and letters."""
    known = {}
    for role in ("content", "style"):
        sound = Stimulus("reference", "", trial.row, number_of(trial.row, role))
        known[role] = {"src": f"{number}/known/{role}"} | _slice(sound)
    letters = {name: {"src": f"{number}/sound/{name}"} | _slice(one) for name, one in trial.lettered().items()}
    return {"known": known, "letters": letters}


def _revealed(one: Stimulus) -> dict[str, str]:
    """What a sound was, and of which pair or file."""
    name = pair_name(one.row["pair_id"], one.row["manifest_row"])
    if one.number is not None:
        name = printable(one.row["inputs"][one.number]["uri"].rsplit("/", 1)[-1])
    return {"was": one.condition, "of": name}


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
