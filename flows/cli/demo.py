"""`gramophone demo`: the main job on a few synthesised clips, one of them broken on purpose."""

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click

from flows.cli import show
from flows.cli.run import run
from tasks.records.words import at_root


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where clips, manifest and results go.",
)
@click.pass_context
def demo(context: click.Context, folder: Path) -> int:
    """Synthesise clips, build a manifest (one pair broken on purpose), run it, and show the results."""
    from tasks.demo import make
    from tasks.layout import Layout
    from tasks.roots import place
    from tasks.standing import family_of, of_family
    from tasks.store import open_store

    manifest, root = make(folder), folder / "data"
    there = at_root(str(root))
    gramophone = "gramophone" if shutil.which("gramophone") else os.path.relpath(sys.argv[0])
    click.echo(f"clips and manifest are in {folder}; now: gramophone run {quote(str(manifest))} {there}", err=True)
    code: Any = context.invoke(run, manifest=str(manifest), root=str(root))
    if code > 1:
        return int(code)  # stopped before its end, as the run has told
    layout = Layout(place(str(root)))
    store = open_store(layout.root)
    family = family_of(store, layout, None)
    frame = of_family(store, layout, family)
    columns = ["pair_id", "status", "reason", "content_loss", "style_loss", "style_loss_heldout", "seconds_total"]
    show.table("results", columns, frame[columns].itertuples(index=False))
    click.echo(
        f"\nOne pair was broken on purpose: the run ended with exit code {code}, as a real night would.\n"
        "Another used the published explicit filters: on filters it never saw (style_loss_heldout) it does far worse.\n"
        f"listen: {folder / 'data' / 'audio'}, or all three of a pair: {gramophone} listen --latest {there}\n"
        f"next:   {gramophone} status --latest {there}\n"
        f"        {gramophone} metrics {there} --sql 'select pair_id, style_loss from results order by 2'\n"
        f"        {gramophone} restyle CONTENT STYLE -o OUT.flac    with sound of your own"
    )
    return 0 if code == 1 and len(frame[frame["status"] == "failed"]) == 1 else 1
