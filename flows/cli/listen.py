"""`gramophone listen`: the page of a run and all its sounds, also of a private bucket; and blind comparisons."""

import random
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from flows.cli.options import RUN_ID, check_named, root_option
from flows.config import settle
from tasks.records.reasons import UsageError


@click.command()
@click.argument("run_id", required=False, type=RUN_ID)
@click.option("--latest", is_flag=True, help="The latest run.")
@click.option(
    "--blind",
    type=click.Choice(["ab", "mushra"]),
    help="Compare without knowing which is which: ab, which of two; mushra, each from 0 to 100.",
)
@click.option(
    "--aspect", type=click.Choice(["content", "style"]), help="What mushra rates nearness to.  [default: style]"
)
@click.option(
    "--against",
    multiple=True,
    type=RUN_ID,
    metavar="RUN_ID",
    help="With --blind: outputs of that run too; may be given again.",
)
@click.option("--trials", type=click.IntRange(1, 500), help="At most so many.  [default: 20; 1 to 500]")
@click.option("--seed", type=int, help="Draws the same trials in the same order.  [default: drawn anew]")
@click.option("--listener", metavar="NAME", help="Stands with the votes.  [default: what the page is told]")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="On loopback.  [default: any that is free]")
@click.option("--open/--no-open", "show", default=True, help="Open a browser.  [default: open]")
@root_option
def listen(
    run_id: str | None, latest: bool, blind: str | None, aspect: str | None, against: tuple[str, ...],
    trials: int | None, seed: int | None, listener: str | None, port: int, show: bool, **flags: Any,
) -> None:  # fmt: skip
    """Serve the page of RUN_ID, its outputs and inputs to a browser on this machine, until Ctrl-C.

    With your credentials for the bucket, which do not leave this process. The address holds a secret: whoever has it
    may listen, on this machine only.

    With --blind: outputs that were made from the same inputs with other parameters, or by another run (--against), are
    heard under letters. Votes are kept under the root as they are given; `gramophone metrics --votes` counts them.
    """
    check_named(run_id, latest)
    if blind is None and (aspect or against or trials or seed is not None or listener):
        raise UsageError("--aspect, --against, --trials, --seed and --listener go with --blind ab or --blind mushra.")
    if blind == "ab" and aspect:
        raise UsageError("--aspect goes with --blind mushra: ab asks which of two is preferred.")
    from tasks.report.serve import Listening, check
    from tasks.roots import place

    root = place(settle(flags).root)
    listening = Listening(root)
    if blind is None:
        _serve(listening.page(check(root, run_id)), listening.app(), port, show)
        return
    from tasks.votes.serve import Booth

    draw = _drawing(root, (run_id, *against), blind, aspect or "style", trials or 20, seed)
    booth = Booth(listening, draw, listener or "")
    _serve(booth.page, listening.app(*booth.routes()), port, show)


def _drawing(
    root: str, run_ids: Sequence[str | None], kind: Any, aspect: Any, most: int, seed: int | None
) -> Callable[[], Any]:
    """Draws ballots over the runs and their reruns (None: the latest). Raises UsageError where that cannot be."""
    import pandas as pd

    from tasks.layout import Layout
    from tasks.standing import family_of, of_family
    from tasks.store import open_store
    from tasks.votes.ballot import Ballot
    from tasks.votes.trials import ab, mushra

    store, layout = open_store(root), Layout(root)
    families = [family_of(store, layout, run_id) for run_id in run_ids]
    frames = [of_family(store, layout, family).assign(family=family.first.run_id) for family in families]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[~frame["withdrawn"]]

    def ballot() -> Ballot:
        draw = random.Random(secrets.randbits(64) if seed is None else seed)
        trials = ab(frame, draw, most) if kind == "ab" else mushra(frame, aspect, draw, most)
        return Ballot(store, layout, families[0].first.run_id, kind, None if kind == "ab" else aspect, tuple(trials))

    ballot()
    return ballot


def _serve(path: str, app: Any, port: int, show: bool) -> None:
    """Until Ctrl-C; says the address."""
    import uvicorn

    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", port))
            bound.listen()  # who reads the address may ask at once
        except OSError as error:
            raise UsageError(f"port {port} of 127.0.0.1 cannot be had ({error.strerror}); leave out --port.") from error
        url = f"http://127.0.0.1:{bound.getsockname()[1]}{path}"
        click.echo(url)
        click.echo("Ctrl-C ends it", err=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        with tempfile.TemporaryDirectory() as private, suppress(KeyboardInterrupt):  # which is how it ends
            if show:
                webbrowser.open(_leading_to(url, Path(private)).as_uri())
            server.run(sockets=[bound])


def _leading_to(url: str, private: Path) -> Path:
    """A page that leads there: a command line, as the browser's, is seen by all users of the machine."""
    page = private / "listen.html"
    page.touch(0o600)
    page.write_text(
        f'<!doctype html><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={url}">'
        f'<a href="{url}">Gramophone</a>'
    )
    return page
