"""`gramophone withdraw`: take a clip out, and all that was made from it."""

import sys
from dataclasses import asdict
from typing import Any

import click

from flows.cli import show
from flows.cli.options import json_option, root_option
from flows.config import settle
from tasks.records.reasons import PairError, UsageError
from tasks.records.words import at_root

MOST_CHARACTERS = 200


@click.command()
@click.option(
    "--input", "clip", required=True, metavar="URI_OR_DIGEST",
    help="The clip: its URI, a path from the working directory, or its sha256 (12 characters of it or more).",
)  # fmt: skip
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the tombstone and in messages.")
@click.option("--undo", is_flag=True, help="It may be used again; what was deleted is computed anew by a run.")
@click.option("--dry-run", is_flag=True, help="List what would be deleted; write and delete nothing.")
@click.option("--yes", is_flag=True, help="Withdraw without asking.")
@click.option("--unread", is_flag=True, help="With --yes: also a clip that no run has read yet.")
@root_option
@json_option
def withdraw(
    clip: str, reason: str, undo: bool, dry_run: bool, yes: bool, unread: bool, as_json: bool, **flags: Any
) -> int:
    """Take a clip out, as when a licence ends or a person objects.

    All audio that was made from it under the root is listed, over all runs, also by way of other outputs, and the
    networks that were trained for it or on it. Once that is confirmed, a tombstone is written, then the audio and the
    networks are deleted, with loss curves that only these pairs have, and pages that show them are written anew. What
    such a network has made of other clips stays, and is counted. The rows of the results stay. From then on a pair with
    that clip fails as input_forbidden: by its URI, and, whatever it is called, by any sha256 that was seen there.

    Killed, or while runs were at work that had read the clip: type it again, and it deletes what is left. The clip
    itself is not deleted. Exit code 4 where something could not be. What a killed run made of it is named by no row:
    `gramophone gc` deletes that.

    A clip that no run has read may be a slip of the pen: it is asked about, or wants --unread beside --yes.
    """
    if undo and dry_run:
        raise UsageError("--undo deletes nothing and asks nothing; leave --dry-run out.")
    if not (dry_run or yes or undo) and (as_json or not sys.stdin.isatty()):
        raise UsageError("nobody is asked here: say --yes to withdraw, or --dry-run to list.")
    if len(reason) > MOST_CHARACTERS or not reason.isprintable():
        raise UsageError(f"--reason is one line of at most {MOST_CHARACTERS} characters.")
    from tasks.layout import Layout
    from tasks.roots import place
    from tasks.store import open_store
    from tasks.withdraw import at_work_now, bury, find, lift

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    found = find(store, layout, clip)
    if undo:
        return _undone(lift(store, layout, found), found, as_json)
    if not as_json:
        _list(found, root)
    if found.unread and yes and not (unread or dry_run):
        raise UsageError(f"{_unread(found, root)}. To withdraw it all the same add --unread.")
    if dry_run or not _confirmed(found, root, yes):
        return _tell(found, root, None, [], [], as_json)
    stone = bury(store, layout, found, reason)
    gone, kept = _deleted(store, layout, found)
    for run in at_work_now(store, layout):
        show.say(f"run {run} is still at work, and may store what it has read before: withdraw again after its end")
    for one in found.networks:
        if not one.ended:
            show.say(f"training {one.run_id} has no end: where it is still at work, withdraw again once it has ended")
    return _tell(found, root, stone, gone, kept, as_json)


def _undone(tombstones: list[str], found: Any, as_json: bool) -> int:
    if as_json:
        show.as_json({"input": found.named, "undone": tombstones})
    else:
        click.echo(f"{found.named} may be used again; a run over a manifest that names it computes what was deleted")
    return 0


def _confirmed(found: Any, root: str, yes: bool) -> bool:
    """A clip that no run has read has a question of its own."""
    what = f"withdraw {found.named} and delete {show.amount(found.objects)}?"
    return yes or click.confirm(f"{_unread(found, root)}. Withdraw it all the same?" if found.unread else what)


def _unread(found: Any, root: str) -> str:
    alike = f" (did you mean {' or '.join(found.alike)}?)" if found.alike else ""
    return f"no run and no training under {root} has read {found.named}{alike}"


def _deleted(store: Any, layout: Any, found: Any) -> tuple[list[Any], list[tuple[str, str]]]:
    """Delete the sounds, and what pages show of them: what is gone, and what could not be deleted and why."""
    from tasks.gc import removed
    from tasks.withdraw import pages

    gone, kept = [], []
    for one, refusal in removed(store, found.objects):
        if refusal is None:
            gone.append(one)
        else:
            kept.append((one.uri, refusal))
    try:
        pages(store, layout, found)
    except PairError as error:
        kept.append((layout.runs(), f"pages were not written anew: {error.message}"))
    return gone, kept


def _list(found: Any, root: str) -> None:
    if found.before is not None:
        click.echo(f"{found.named} {found.before.sentence()}")
    if len(found.files) > 1:
        show.table(
            f"{len(found.files)} files lay under that name; to withdraw one of them, name it by its sha256",
            ("--input", "outputs"),
            found.files.items(),
        )
    for run_id in found.unknown:
        click.echo(f"what training {run_id} was trained on is not known: an earlier version did not keep it", err=True)
    if found.networks:
        show.table(
            f"networks that {found.named} went into",
            ("training", "as", "file", "outputs of other clips, which stay"),
            [(one.run_id, one.role, one.uri, one.others) for one in found.networks],
        )
    rows = found.outputs.head(show.MOST_ROWS)
    if rows.empty:
        click.echo(f"no output under {root} was made from {found.named}")
        return
    title = f"made from {found.named}: {len(found.outputs)} pair{'s' if len(found.outputs) > 1 else ''}"
    columns = ("run_id", "pair_id", "audio_uri", "served_by")
    show.table(title, ("run", "pair", "audio", "served by"), rows[list(columns)].itertuples(index=False))
    show.more(len(found.outputs), "gramophone withdraw ... --dry-run --json")


def _tell(found: Any, root: str, stone: Any, gone: list[Any], kept: list[tuple[str, str]], as_json: bool) -> int:
    code = 4 if kept else 0
    if as_json:
        show.as_json(
            {
                "input": found.named,
                "uri": found.uri,
                "unread": found.unread,
                "alike": list(found.alike),
                "sha256": sorted(found.digests),
                "files": found.files,
                "outputs": found.outputs,
                "networks": [asdict(one) for one in found.networks],
                "objects": [{"uri": one.uri, "bytes": one.size} for one in found.objects],
                "tombstone": found.tombstone if stone or found.before else None,
                "withdrawn_at": (stone or found.before).withdrawn_at if stone or found.before else None,
                "deleted": len(gone),
                "not_deleted": [{"uri": uri, "message": why} for uri, why in kept],
                "exit_code": code,
            }
        )
        return code
    for _, why in kept[: show.MOST_ROWS]:
        click.echo(f"not deleted: {why}", err=True)
    if kept:
        click.echo(f"{len(kept)} could not be deleted: may these credentials delete? Then withdraw again.", err=True)
    if stone is None:
        if found.unread:
            click.echo(_unread(found, root), err=True)
        click.echo(f"{show.amount(found.objects)} to delete (audio, curves, networks); nothing was written or deleted")
    else:
        click.echo(f"withdrawn ({found.tombstone}): {show.amount(gone)} deleted")
        click.echo(
            "pairs with it fail from now on: choose another clip in their manifests. A killed run may have left audio "
            f"that no row names: `gramophone gc {at_root(root)}` deletes it",
            err=True,
        )
    return code
