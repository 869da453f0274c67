"""`gramophone gc`: remove what no result names."""

import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from flows.cli import show
from flows.cli.options import json_option, root_option
from flows.config import settle
from tasks.records.reasons import UsageError
from tasks.records.texts import Duration, seconds_of
from tasks.records.words import amount, at_root


@click.command()
@click.option(
    "--older-than", default="7d", metavar="TIME", show_default=True,
    help="Only what has not changed for so long, of runs that wrote nothing for so long: 12h, 7d.",
)  # fmt: skip
@click.option(
    "--keep-nights", type=click.IntRange(min=1), metavar="N",
    help="Also forget what is of nights more than N days ago: rows, audio, curves and runs.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="List what would be deleted; delete nothing.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@root_option
@json_option
def gc(older_than: str, keep_nights: int | None, dry_run: bool, yes: bool, as_json: bool, **flags: Any) -> int:
    """Delete what no result names.

    That is audio and loss curves of runs that were killed before they committed them, and objects that a probe of the
    store left. They are listed, and deleted once that is confirmed. What any row of the results names is never touched.

    With --keep-nights also older nights are deleted, rows and all, but for what later rows name and runs that serve a
    pair of a later one; tombstones, votes, networks and lineage events stay. What is forgotten would be computed again.

    Exit code 4 where something could not be deleted.
    """
    age = _seconds(older_than)
    if not (dry_run or yes) and (as_json or not sys.stdin.isatty()):
        raise UsageError("nobody is asked here: say --yes to delete, or --dry-run to list.")
    from tasks.gc import orphans, removed
    from tasks.layout import Layout
    from tasks.retention import NOTHING, forgotten
    from tasks.roots import place
    from tasks.store import open_store, sweep

    root = place(settle(flags).root)
    store = open_store(root)
    layout, before = Layout(root), time.time() - age
    first = str(datetime.now(UTC).date() - timedelta(days=keep_nights)) if keep_nights else ""
    old = forgotten(store, layout, first, before) if first else NOTHING
    going = {one.uri for one in old.all}
    left = [one for one in orphans(store, layout, before) if one.uri not in going]
    found = [*old.all, *left]
    if not as_json:
        _forget(old, first)
        _list(left, root, older_than)
    if dry_run or (found and not yes and not click.confirm(f"delete {show.amount(found)}?")):
        return _tell(root, age, old, left, [], [], as_json)
    gone, kept = [], []
    for orphan, refusal in chain(old.removed(store), removed(store, left)):
        if refusal is None:
            gone.append(orphan)
        else:
            kept.append((orphan, refusal))
    sweep(root)
    return _tell(root, age, old, left, gone, kept, as_json)


def _forget(old: Any, first: str) -> None:
    if old.nights:
        nights = f"{old.nights[0]} to {old.nights[-1]}" if len(old.nights) > 1 else old.nights[0]
        click.echo(
            f"to be forgotten, of {amount(len(old.nights), 'night')} before {first} ({nights}): "
            f"{show.amount(old.all)}, rows, audio, curves and runs"
        )


def _seconds(text: str) -> float:
    try:
        age = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        age = ""
    if not age:
        raise UsageError(f"--older-than {text!r} is not a time such as 12h or 7d.")
    return seconds_of(age)


def _list(found: list[Any], root: str, older_than: str) -> None:
    if not found:
        click.echo(f"nothing to delete: results name all that is older than {older_than} under {root}")
        return
    rows = [
        (one.uri.removeprefix(root + "/"), one.size, datetime.fromtimestamp(one.modified, UTC).strftime("%Y-%m-%d"))
        for one in found[: show.MOST_ROWS]
    ]
    show.table(f"no result names these under {root}", ("object", "bytes", "since"), rows)
    show.more(len(found), f"gramophone gc --dry-run {at_root(root)} --json")


def _tell(root: str, age: float, old: Any, left: list[Any], gone: list[Any], kept: list[Any], as_json: bool) -> int:
    code, found = 4 if kept else 0, [*old.all, *left]
    if as_json:
        show.as_json(
            {
                "root": root,
                "older_than_seconds": age,
                "orphans": [
                    {"uri": one.uri, "bytes": one.size, "modified": datetime.fromtimestamp(one.modified, UTC)}
                    for one in left
                ],
                "forgotten_nights": list(old.nights),
                "forgotten": [one.uri for one in old.all],
                "deleted": len(gone),
                "not_deleted": [{"uri": one.uri, "message": why} for one, why in kept],
                "exit_code": code,
            }
        )
        return code
    for _, why in kept[: show.MOST_ROWS]:
        click.echo(f"not deleted: {why}", err=True)
    if kept:
        click.echo(f"{len(kept)} of {len(found)} objects could not be deleted: may these credentials delete?", err=True)
    if found:
        click.echo(f"{show.amount(gone)} deleted" if gone else f"{show.amount(found)}; nothing was deleted")
    return code
