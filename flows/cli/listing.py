"""Lists of pairs for people: what is not done and why, what a run or rerun would do."""

from typing import Any

import click

from flows.cli import show
from tasks.overrides import shown
from tasks.records.reasons import QUARANTINED, named, remedy
from tasks.records.words import amount, at_root, pair_name
from tasks.results import rows_of


def failures(frame: Any, run_id: str, root: str) -> None:
    """The pairs that are not done, with what to do about each reason."""
    left = frame[frame["status"] != "ok"]
    if left.empty:
        return
    shown_rows = list(rows_of(left.head(show.MOST_ROWS)))
    rows = [(pair_name(row["pair_id"], row["manifest_row"]), named(row), row["message"]) for row in shown_rows]
    show.table("pairs that are not done", ("pair", "reason", "message"), rows)
    show.more(len(left), f"gramophone status {run_id} {at_root(root)} --json")
    said = {
        named(row): remedy(row["reason"], f"{run_id} {at_root(root)}", row["quarantined"])
        for row in shown_rows
        if row["reason"]
    }
    for reason, text in sorted(said.items()):
        click.echo(f"  {reason}: {text}")


def withdrawn(frame: Any, run_id: str, root: str) -> None:
    """The pairs that were done and have no audio any more, since something in them was withdrawn."""
    gone = frame[frame["withdrawn"]]
    if gone.empty:
        return
    rows = [
        (pair_name(row["pair_id"], row["manifest_row"]), row["message"]) for row in rows_of(gone.head(show.MOST_ROWS))
    ]
    show.table("pairs that were withdrawn", ("pair", "message"), rows)
    show.more(len(gone), f"gramophone status {run_id} {at_root(root)} --json")


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
                    {"pair_id": p.name, "served_by": f"{r['run_id']}/{r['manifest_row']}", "audio_uri": r["audio_uri"]}
                    for p, r in plan.skipped
                ],
                "fail": [{"pair_id": p.name, "reason": reason, "message": message} for p, reason, message in fails],
                "shards": len(plan.shards),
            }
        )
        return 1 if fails else 0
    if compute:
        show.table(
            "would compute",
            ("pair", "content", "style"),
            [(p.name, *(shown(i.uri) for i in p.inputs[:2])) for p in compute[:50]],
        )
    if plan.skipped:
        show.table(
            "would skip: done before with the same inputs and parameters",
            ("pair", "by run", "audio"),
            [(p.name, r["run_id"], r["audio_uri"]) for p, r in plan.skipped[:50]],
        )
    if fails:
        show.table("would fail", ("pair", "reason", "message"), [(p.name, reason, m) for p, reason, m in fails[:50]])
    click.echo(
        f"{len(compute)} to compute, {len(plan.skipped)} to skip, {len(failing)} would fail; nothing was written"
        "\nno audio was opened: `gramophone manifest validate MANIFEST --probe` does that"
    )
    return 1 if fails else 0


def selected(selection: Any) -> None:
    for title, frame in (
        ("to compute", selection.chosen),
        ("not tried again: nothing about them has changed (--force computes them)", selection.withheld),
        (f"{QUARANTINED}: failed too often (--force computes them)", selection.quarantined),
    ):
        if len(frame):
            rows = [
                (pair_name(r["pair_id"], r["manifest_row"]), r["reason"], r["message"]) for r in rows_of(frame.head(50))
            ]
            show.table(f"{title} ({len(frame)})", ("pair", "failed before with", "message then"), rows)
    if selection.unmatched:
        names = ", ".join(selection.unmatched[:5])
        many = amount(len(selection.unmatched), "row")
        click.echo(f"nothing that is left to do is replaced by {many} of the manifest: {names}")
    if not len(selection.chosen) and not selection.besides():
        click.echo("nothing to do: every pair is done")
