"""`gramophone report`: the page of a run, made anew."""

from typing import Any

import click

from flows.cli import show
from flows.cli.options import RUN_ID, check_named, json_option, root_option
from flows.config import settle


@click.command()
@click.argument("run_id", required=False, type=RUN_ID)
@click.option("--latest", is_flag=True, help="The latest run.")
@click.option(
    "--pairs", "most", type=click.IntRange(1, 100_000), default=2_000, show_default=True, metavar="N",
    help="Show at most so many: those that are not done, then the highest style losses.",
)  # fmt: skip
@root_option
@json_option
def report(run_id: str | None, latest: bool, most: int, as_json: bool, **flags: Any) -> None:
    """Write the page of RUN_ID and its reruns beside the run, from the results as they are now.

    Each run writes its page at its end. It shows every pair with its three sounds, their spectrograms, losses and
    lineage, and opens from a folder as it is; of a private bucket, by `gramophone listen`. Of a training it draws the
    losses of training and of validation.
    """
    check_named(run_id, latest)
    from tasks.layout import Layout
    from tasks.report import is_training, write_report
    from tasks.roots import place
    from tasks.store import open_store

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    if run_id and is_training(store, layout, run_id):
        from tasks.report.training import write_training_report  # torch, for those who train

        uri = write_training_report(store, layout, run_id)
    else:
        uri = write_report(store, layout, run_id, most)
    show.as_json({"report": uri}) if as_json else click.echo(uri)
