"""`gramophone metrics`: the results and the votes, as tables or asked in SQL."""

from collections.abc import Sequence
from typing import Any

import click

from flows.cli import show
from flows.cli.options import RUN_ID, json_option, root_option
from flows.config import settle
from tasks.records.reasons import UsageError
from tasks.records.words import at_root

METRICS = (
    "run_id",
    "pair_id",
    "status",
    "reason",
    "content_loss",
    "style_loss",
    "content_loss_heldout",
    "style_loss_heldout",
    "phase_convergence_db",
    "evaluations",
    "seconds_total",
    "device",
)


@click.command()
@click.option(
    "--run",
    "run_ids",
    multiple=True,
    type=RUN_ID,
    metavar="RUN_ID",
    help="Only attempts of this run; may be given again.",
)
@click.option("--failed", is_flag=True, help="Only failed attempts.")
@click.option("--votes", is_flag=True, help="What listeners said (`gramophone listen --blind`); --run: of that run.")
@click.option(
    "--sql",
    metavar="QUERY",
    help="SQL over the table `results`, with --votes also `votes` (DuckDB's dialect; no other table or file).",
)
@root_option
@json_option
def metrics(run_ids: tuple[str, ...], failed: bool, votes: bool, sql: str | None, as_json: bool, **flags: Any) -> None:
    """Show or query the results: one row for each attempt (columns: manifests/README.md).

    With --votes: which of two conditions was preferred and how often, and how near each came to content or style.
    """
    if votes and failed:
        raise UsageError("--failed is about attempts, --votes about outputs: `gramophone metrics --votes` without it.")
    from tasks.layout import Layout
    from tasks.records import schema
    from tasks.results import ORDER, read_results
    from tasks.roots import place
    from tasks.standing import known_runs
    from tasks.store import open_store
    from tasks.votes.tally import read_votes

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    known = known_runs(store, layout, run_ids)
    runs = set(run_ids) or None
    # Votes on a rerun are votes on the run that it reruns.
    asked = {run.root_run_id for run in known if run.run_id in run_ids} or None
    if votes and sql is None:
        _votes(layout, read_votes(store, layout, asked), run_ids, as_json)
        return
    shown = (*METRICS[:3], "message", "run_id") if failed else METRICS

    def read(wanted: Sequence[str]) -> Any:
        needed = schema.some(schema.RESULTS, *dict.fromkeys((*ORDER, "status", *wanted)))
        frame = read_results(store, layout, runs, wanted=needed)
        return frame[frame["status"] == "failed"] if failed else frame

    if sql is not None:
        from tasks.sql import Table, answer

        tables = {"results": Table(schema.RESULTS, lambda wanted: read(wanted.names))}
        if votes:
            tables["votes"] = Table(schema.VOTES, lambda wanted: read_votes(store, layout, asked))
        frame = answer(sql, tables)
    elif as_json:
        frame = read(schema.RESULTS.names)
    else:
        frame = read(shown)[list(shown)]
    if as_json:
        show.as_json(frame)
        return
    show.table(f"{len(frame)} rows", list(frame.columns), frame.itertuples(index=False))


def _votes(layout: Any, votes: Any, run_ids: Sequence[str], as_json: bool) -> None:
    from tasks.votes.tally import tally

    found = tally(votes)
    if as_json:
        show.as_json(
            {
                "preferences": found.preferences,
                "ratings": found.ratings,
                "left_out": found.left_out,
                "votes": votes,
            }
        )
        return
    if votes.empty:
        on = f" on run {', '.join(run_ids)}" if run_ids else ""
        which = run_ids[0] if run_ids else "--latest"
        ask = f"gramophone listen {which} {at_root(layout.root)} --blind ab"
        click.echo(f"no votes{on} under {layout.root} yet; `{ask}` asks for them")
    for title, frame in (("which of two is preferred", found.preferences), ("ratings, 0 to 100", found.ratings)):
        if len(frame):
            show.table(title, [name.replace("_", " ") for name in frame.columns], frame.itertuples(index=False))
    if found.left_out:
        click.echo(
            f"left out: {', '.join(found.left_out)}: rated the hidden reference below 90 in more than 15 % of trials"
        )
