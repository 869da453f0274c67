"""`gramophone gc`: remove what no result names."""

import sys
import time
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from flows.cli import show
from flows.cli.options import json_option, root_option
from flows.config import settle
from tasks.records.reasons import UsageError
from tasks.records.texts import Duration, seconds_of
from tasks.records.words import at_root


@click.command()
@click.option(
    "--older-than", default="7d", metavar="TIME", show_default=True,
    help="Only what has not changed for so long, of runs that wrote nothing for so long: 12h, 7d.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="List what would be deleted; delete nothing.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@root_option
@json_option
def gc(older_than: str, dry_run: bool, yes: bool, as_json: bool, **flags: Any) -> int:
    """Delete what no result names.

    That is audio and loss curves of runs that were killed before they committed them, and objects that a probe of the
    store left. They are listed, and deleted once that is confirmed. What any row of the results names is never touched.
    Exit code 4 where something could not be deleted.
    """
    age = _seconds(older_than)
    if not (dry_run or yes) and (as_json or not sys.stdin.isatty()):
        raise UsageError("nobody is asked here: say --yes to delete, or --dry-run to list.")
    from tasks.gc import orphans, removed
    from tasks.layout import Layout
    from tasks.roots import place
    from tasks.store import open_store, sweep

    root = place(settle(flags).root)
    store = open_store(root)
    found = orphans(store, Layout(root), before=time.time() - age)
    if not as_json:
        _list(found, root, older_than)
    if dry_run or (found and not yes and not click.confirm(f"delete {show.amount(found)}?")):
        return _tell(root, age, found, [], [], as_json)
    gone, kept = [], []
    for orphan, refusal in removed(store, found):
        if refusal is None:
            gone.append(orphan)
        else:
            kept.append((orphan, refusal))
    sweep(root)
    return _tell(root, age, found, gone, kept, as_json)


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


def _tell(root: str, age: float, found: list[Any], gone: list[Any], kept: list[Any], as_json: bool) -> int:
    code = 4 if kept else 0
    if as_json:
        show.as_json(
            {
                "root": root,
                "older_than_seconds": age,
                "orphans": [
                    {"uri": one.uri, "bytes": one.size, "modified": datetime.fromtimestamp(one.modified, UTC)}
                    for one in found
                ],
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
