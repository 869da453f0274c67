"""Lists of pairs for people: what is not done and why, what a run or rerun would do."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from flows.cli import show
from tasks.overrides import changed, shown
from tasks.records.reasons import QUARANTINED, named, remedy
from tasks.records.words import amount, at_root, pair_name
from tasks.results import rows_of

NAMED = 3
"""So many pairs of which the same is to be said are named."""


def failures(frame: Any, run_id: str, root: str) -> None:
    """The pairs that are not done, with what to do about each reason."""
    left = frame[frame["status"] != "ok"]
    if left.empty:
        return
    alike = _alike(left)
    rows = [(names, named(row), row["message"]) for names, row in alike[: show.MOST_ROWS]]
    show.table("pairs that are not done", ("pair", "reason", "message"), rows)
    show.more(len(alike), f"gramophone status {run_id} {at_root(root)} --json")
    said = {
        named(row): remedy(row["reason"], f"{run_id} {at_root(root)}", row["quarantined"])
        for _, row in alike
        if row["reason"]
    }
    for reason, text in sorted(said.items()):
        click.echo(f"  {reason}: {text}")


def withdrawn(frame: Any, run_id: str, root: str) -> None:
    """The pairs that were done and have no audio any more, since something in them was withdrawn."""
    gone = frame[frame["withdrawn"]]
    if gone.empty:
        return
    alike = _alike(gone)
    show.table(
        "pairs that were withdrawn",
        ("pair", "message"),
        [(names, row["message"]) for names, row in alike[: show.MOST_ROWS]],
    )
    show.more(len(alike), f"gramophone status {run_id} {at_root(root)} --json")


def _alike(frame: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Pairs of which the same is to be said, in one line: what they are called, and the row of the first."""
    found: dict[tuple[str, str | None], tuple[Mapping[str, Any], list[str]]] = {}
    for row in rows_of(frame):
        _, names = found.setdefault((named(row), row["message"]), (row, []))
        names.append(pair_name(row["pair_id"], row["manifest_row"]))
    return [(_names(names), first) for first, names in found.values()]


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:NAMED])} and {more} more"


def dry_run(submission: Any, as_json: bool) -> int:
    """What a run would do. Exit code 1 where a pair is known to fail."""
    plan = submission.plan
    bad = [(pair, str(error.reason), error.message) for pair in plan.pairs if (error := pair.error())]
    known = {pair.manifest_row for pair, *_ in bad}
    missing = [
        (pair, "input_missing", f"{i.role} {i.uri}: no such file")
        for pair in plan.pairs
        for i in pair.inputs
        if pair.manifest_row not in known and i.etag is None
    ]
    fails = [*bad, *missing]
    failing = {pair.manifest_row for pair, *_ in fails}
    compute = [pair for pair in plan.pairs if pair.manifest_row not in failing]
    if as_json:
        show.as_json(
            {
                "compute": [pair.name for pair in compute],
                "skip": [
                    {"pair_id": row["pair_id"], "served_by": row["served_by"], "audio_uri": row["audio_uri"]}
                    for row in plan.skipped.to_pylist()
                ],
                "fail": [{"pair_id": p.name, "reason": reason, "message": message} for p, reason, message in fails],
                "shards": len(plan.shards),
            }
        )
        return 1 if fails else 0
    if compute:
        show.table(
            "would compute",
            ("pair", "content", "style", "not the default"),
            [(p.name, _places(p, "content"), _places(p, "style"), _own(p)) for p in compute[: show.MOST_ROWS]],
        )
    if len(plan.skipped):
        show.table(
            "would skip: done before with the same inputs and parameters",
            ("pair", "by run", "audio"),
            [
                (row["pair_id"], row["served_by"].split("/")[0], row["audio_uri"])
                for row in plan.skipped.slice(0, show.MOST_ROWS).to_pylist()
            ],
        )
    if fails:
        show.table(
            "would fail",
            ("pair", "reason", "message"),
            [(p.name, reason, m) for p, reason, m in fails[: show.MOST_ROWS]],
        )
    click.echo(
        f"{len(compute)} to compute, {len(plan.skipped)} to skip, {len(failing)} would fail; nothing was written"
        "\nno audio was opened: `gramophone manifest validate MANIFEST --probe` does that"
    )
    return 1 if fails else 0


def _places(pair: Any, role: str) -> str:
    return "\n".join(_place(one) for one in pair.inputs if one.role == role)


def _place(one: Any) -> str:
    """Where an input is, and which slice of it."""
    if one.start is None and one.seconds is None:
        return shown(one.uri)
    return f"{shown(one.uri)} from {one.start or 0:g} s" + ("" if one.seconds is None else f", {one.seconds:g} s")


def _own(pair: Any) -> str:
    """The parameters of a pair that are not the default."""
    return ", ".join(f"{name}={value}" for name, (value, _) in changed(pair.params.model_dump_json()).items()) or "-"


def nothing_computed(selection: Any, dry_run: bool) -> None:
    """Why a rerun ends here, and what to do about the pairs that it leaves."""
    left = len(selection.withheld) + len(selection.quarantined)
    if dry_run:
        click.echo(f"{len(selection.chosen)} to compute, {left} left alone; nothing was written")
    elif left:
        click.echo(
            f"0 computed, {amount(left, 'pair')} left: mend what the message says, then type this again; "
            "--force computes them as they are"
        )


def selected(selection: Any) -> None:
    for title, frame in (
        ("to compute", selection.chosen),
        ("not tried again: nothing about them has changed (--force computes them)", selection.withheld),
        (f"{QUARANTINED}: failed too often (--force computes them)", selection.quarantined),
    ):
        if len(frame):
            rows = [
                (pair_name(r["pair_id"], r["manifest_row"]), r["reason"], r["message"])
                for r in rows_of(frame.head(show.MOST_ROWS))
            ]
            show.table(f"{title} ({len(frame)})", ("pair", "failed before with", "message then"), rows)
    if selection.unmatched:
        names = ", ".join(selection.unmatched[:5])
        many = amount(len(selection.unmatched), "row")
        click.echo(f"nothing that is left to do is replaced by {many} of the manifest: {names}")
    if not len(selection.chosen) and not selection.besides():
        click.echo("nothing to do: every pair is done")
