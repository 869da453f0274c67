"""`gramophone lineage`: what made an output, what was made from an input, and what is stale."""

from typing import Any

import click

from flows.cli import show
from flows.cli.options import json_option, root_option
from flows.config import settle
from tasks.records.reasons import UsageError
from tasks.records.words import amount, at_root

DIGITS = 12
"""Of a sha256: what can be asked for again."""


@click.command()
@click.argument("uri_or_id", required=False)
@click.option("--stale", is_flag=True, help="List outputs whose inputs have changed; exit code 1 where there are any.")
@root_option
@json_option
def lineage(uri_or_id: str | None, stale: bool, as_json: bool, **flags: Any) -> int:
    """Show what made an output, and everything that was made from an input, over all runs.

    URI_OR_ID is the URI, the sha256, the pair_id or the pair_key of an output, a copy of it, a run, an attempt
    (RUN_ID/ROW), or the URI or sha256 of an input, or of a network, or its training. A path is taken from the working
    directory; of a sha256 12 characters are enough. A copy is known by its digest or, where it was converted, by the
    tag that it bears.

    With --stale: every output whose inputs are no longer what it was made from, and the command that makes it anew.
    """
    if (uri_or_id is None) != stale:
        raise UsageError("name an output, a run or an input, or say --stale (not both).")
    from tasks.layout import Layout
    from tasks.roots import place
    from tasks.store import open_store

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    if uri_or_id is None:
        return _stale(store, layout, as_json)
    from tasks.lineage.trace import lineage as trace

    found = trace(store, layout, uri_or_id)
    if as_json:
        show.as_json({"asked": found.asked, "made": found.made, "derived": found.derived, "networks": found.networks})
        return 0
    if len(found.made) == 1:
        _about(found.made[0])
    elif found.made:
        _list(found.made, root)
    if found.networks:
        _networks(found)
    if len(found.derived):
        _derived(found, root)
    return 0


def _about(one: dict[str, Any]) -> None:
    """All about one attempt: its inputs, and what was done with them."""
    columns = ("role", "uri", "sha256", "start", "seconds", "weight", "etag")
    inputs = [[i[c][:DIGITS] if c == "sha256" and i[c] else i[c] for c in columns] for i in one["inputs"]]
    show.table(f"what {one['attempt']} was made from", columns, inputs)
    if one["parameters"]:
        rows = [(name, str(p["value"]), str(p["default"])) for name, p in one["parameters"].items()]
        show.table("parameters that differ from the defaults", ("parameter", "value", "default"), rows)
    else:
        click.echo("parameters: all at their defaults (`gramophone config show` lists them)")
    apart = ("inputs", "parameters", "tags", "reruns", "serves", "network")
    plain = {name: value for name, value in one.items() if name not in apart}
    lists = {name: ", ".join(one[name]) for name in ("reruns", "serves")}
    tags = {"tags": ", ".join(f"{k}={v}" for k, v in one["tags"].items())}
    told = [(name, value) for name, value in (plain | lists | tags).items() if value not in (None, "")]
    show.table("how", ("what", "value"), told)
    if one["network"]:
        show.table("the network that made it", ("what", "value"), one["network"].items())


def _list(made: list[dict[str, Any]], root: str) -> None:
    rows = [(one["attempt"], one["pair_id"], one["status"], one["audio_uri"]) for one in made[: show.MOST_ROWS]]
    show.table(amount(len(made), "attempt"), ("attempt", "pair", "status", "audio"), rows)
    click.echo(f"all about one of them: gramophone lineage {made[-1]['attempt']} {at_root(root)}")
    show.more(len(made), f"gramophone lineage ... {at_root(root)} --json")


def _networks(found: Any) -> None:
    for one in found.networks:
        if one["as"] is None:
            told = [(name, value) for name, value in one.items() if value is not None]
            show.table("the network, and what it was made from", ("what", "value"), told)
    into = [one for one in found.networks if one["as"]]
    if into:
        show.table(
            f"{amount(len(into), 'training')} that {found.asked} went into",
            ("training", "as", "network", "style", "corpus", "outputs of it"),
            [
                (one["training"], one["as"], one["network"], one["style_uri"], one["corpus_uri"], one["outputs"])
                for one in into
            ],
        )


def _derived(found: Any, root: str) -> None:
    rows = found.derived.head(show.MOST_ROWS)
    audio = rows["audio_uri"].mask(rows["withdrawn"], "withdrawn, deleted")
    rows = rows.assign(input_sha256=rows["input_sha256"].str[:DIGITS], audio=audio)
    columns = ("run_id", "pair_id", "role", "input_uri", "input_sha256", "audio")
    outputs = found.derived["audio_uri"].nunique()
    show.table(
        f"{outputs} output{'s were' if outputs != 1 else ' was'} made from {found.asked}",
        ("run", "pair", "as", "input", "sha256", "audio"),
        rows[list(columns)].itertuples(index=False),
    )
    show.more(len(found.derived), f"gramophone lineage ... {at_root(root)} --json")


def _stale(store: Any, layout: Any, as_json: bool) -> int:
    from tasks.lineage.stale import look

    found = look(store, layout)
    code = 1 if found.stale else 0
    again = dict.fromkeys(one.row["run_id"] for one in found.stale)
    commands = [f"gramophone run --like {run_id} {at_root(layout.root)}" for run_id in again]
    if as_json:
        names = ("run_id", "manifest_row", "pair_id", "pair_key", "audio_uri", "manifest_uri")
        stale = [{**{n: one.row[n] for n in names}, "inputs": dict(one.inputs)} for one in found.stale]
        show.as_json({"stale": stale, "commands": commands, "unseen": dict(found.unseen), "exit_code": code})
        return code
    for uri, why in list(found.unseen.items())[: show.MOST_ROWS]:
        click.echo(f"not looked at: {uri}: {why}", err=True)
    if not found.stale:
        click.echo(f"nothing is stale: all outputs under {layout.root} stand on their inputs as they are")
        return code
    lines = [
        (one.row["pair_id"], one.row["run_id"], uri, what, one.row["audio_uri"])
        for one in found.stale
        for uri, what in one.inputs.items()
    ]
    title = f"{amount(len(found.stale), 'output')} whose inputs have changed since"
    show.table(title, ("pair", "run", "input", "is", "audio"), lines[: show.MOST_ROWS])
    show.more(len(lines), f"gramophone lineage --stale {at_root(layout.root)} --json")
    click.echo(
        "what computes them anew, with the parameters that they had, and nothing that is done as it would be now "
        "(an input that is gone has to be put back first):"
    )
    click.echo("\n".join(f"  {command}" for command in commands))
    return code
