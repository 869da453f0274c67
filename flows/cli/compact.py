"""`gramophone compact`: few large files of results beside the many small ones."""

from typing import Any

import click

from flows.cli import show
from flows.cli.options import json_option, root_option
from flows.config import settle
from tasks.records.words import amount


@click.command()
@click.option("--night", metavar="DATE", help="Only that night.  [default: every night that has news]")
@click.option("--dry-run", is_flag=True, help="Say what would be merged; write nothing.")
@root_option
@json_option
def compact(night: str | None, dry_run: bool, as_json: bool, **flags: Any) -> int:
    """Merge the results files of each night into few, for reading: a bucket is slow with thousands of small objects.

    The results files stay, and are the truth; compacted/ is derived from them, and whatever reads results takes it
    where it is fewer files, and what it does not cover from where it lies. Type it again after further runs, as often
    as you like and at any time: no reader sees a row twice, or not at all. `gramophone gc` deletes what a newer one
    replaced.
    """
    from tasks.compact import compact as merge
    from tasks.compact import uncovered
    from tasks.layout import Layout
    from tasks.roots import place
    from tasks.store import AlreadyExists, open_store

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    nights = {date: uris for date, uris in uncovered(store, layout).items() if night in (None, date)}
    made, overtaken = [], []
    for date, uris in nights.items() if not dry_run else ():
        try:
            made.append(merge(store, layout, date, uris))
        except AlreadyExists:
            overtaken.append(date)
    if as_json:
        show.as_json(
            {
                "nights": {date: len(uris) for date, uris in nights.items()},
                "written": [
                    {"night": one.night, "generation": one.number, "rows": one.rows, "parts": list(one.parts)}
                    for one in made
                ],
                "overtaken": overtaken,
            }
        )
        return 0
    for date in overtaken:
        click.echo(f"{date}: another compaction was first", err=True)
    if dry_run:
        told = [(date, amount(len(uris), "file")) for date, uris in nights.items()]
        show.table("would be merged", ("night", "results"), told) if told else None
    elif made:
        show.table(
            f"merged below {layout.compacted()}",
            ("night", "rows", "files before", "files now"),
            [(one.night, one.rows, len(one.covers), len(one.parts)) for one in made],
        )
    if not nights:
        click.echo(f"nothing to merge: no {'night' if night is None else 'results of ' + night} under {root} has news")
    return 0
