"""`gramophone run` and `gramophone rerun`."""

import os
from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from flows.cli import listing, show
from flows.cli.options import (
    PLACE,
    RUN_ID,
    check_named,
    job_options,
    json_option,
    parameter_options,
    root_option,
    run_options,
    until_option,
)
from flows.config import FIELDS, parsed, settle, validation_message
from tasks.records.reasons import Reason, UsageError
from tasks.records.words import amount, at_root
from tasks.uncollected import uncollected

PREFECT_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the API hears it all, a person hears it from us
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
}


@click.command()
@click.argument("manifest", required=False, type=PLACE)
@click.option(
    "--like",
    type=RUN_ID,
    metavar="RUN_ID",
    help="In place of MANIFEST: the rows that this run kept, with its parameters and options but for flags given here.",
)
@root_option
@click.option(
    "--dry-run", is_flag=True, help="Check everything, say what would be done, skipped and why; write nothing."
)
@job_options
@run_options
@parameter_options
@json_option
def run(
    manifest: str | None,
    like: str | None,
    dry_run: bool,
    as_json: bool,
    night: str | None,
    wait: str | None,
    **flags: Any,
) -> int:
    """Restyle every pair of MANIFEST that is not done yet.

    Results, audio and lineage are written under --root. Pairs that an earlier run has done with the same inputs and
    parameters are skipped. In MANIFEST, {night} is replaced by the date of the night.
    """
    if (manifest is None) == (like is None):
        raise UsageError("name a MANIFEST, or a run with --like RUN_ID (one of them).")
    settings = settle(flags)
    if settings.options.engine == "local" and settings.origins.get("ray_address") == "flag":
        raise UsageError("--ray-address goes with --engine ray.")
    with uncollected():
        from tasks.again import job_like
        from tasks.records.run import Job
        from tasks.submit import prepare_nightly

    try:
        if like is not None:
            job = job_like(settings.root, like, settings.of_flags())
        else:
            job = Job(
                manifest=manifest or "", root=settings.root, parameters=settings.parameters, options=settings.options
            )
        job = Job.model_validate(job.model_dump() | {"night": night or "", "wait": wait or ""})
    except ValidationError as error:
        raise UsageError(validation_message(error)) from error
    submission = prepare_nightly(job, tell=lambda text: click.echo(text, err=True))
    if dry_run:
        if job.options.engine == "local" and job.options.device.startswith("cuda"):  # else there is nothing to check
            from tasks.worker import devices

            devices(job.options.device)
        return listing.dry_run(submission, as_json)
    return _flow(lambda: _nightly(job), submission, submission, as_json)


@click.command()
@click.argument("run_id", required=False, type=RUN_ID)
@click.option("--latest", is_flag=True, help="Rerun the latest run.")
@root_option
@click.option(
    "--reason",
    "reasons",
    type=click.Choice([reason.value for reason in Reason]),
    multiple=True,
    metavar="REASON",
    help="Only pairs with this reason; may be given again.",
)
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="Change a parameter; may be given again.")
@click.option("--manifest", type=PLACE, help="A manifest whose rows replace those of equal pair_id.")
@click.option("--allow", multiple=True, help="A further place that inputs may come from; may be given again.")
@click.option(
    "--force", is_flag=True, help="Also permanent failures of which nothing has changed, and quarantined pairs."
)
@click.option(
    "--max-attempts",
    type=click.IntRange(1, 1_000),
    metavar="N",
    help="Leave pairs alone that have failed so often by their own fault  [default: as RUN_ID was given it]",
)
@click.option("--dry-run", is_flag=True, help="List what would be computed; write nothing.")
@until_option
@click.option("--engine", type=click.Choice(["local", "ray"]), help="As for a run.  [default: as RUN_ID was given it]")
@click.option("--ray-address", metavar="ADDRESS", help="As for a run.  [default: as RUN_ID was given it]")
@json_option
def rerun(
    run_id: str | None, latest: bool, reasons: tuple[str, ...], sets: tuple[str, ...], manifest: str | None,
    allow: tuple[str, ...], force: bool, max_attempts: int | None, dry_run: bool, as_json: bool, **flags: Any,
) -> int:  # fmt: skip
    """Compute the failed and open pairs of RUN_ID and its reruns, and nothing else.

    The parameters are those of the first run; --set changes single ones. Failures that can only repeat themselves,
    because neither inputs, parameters nor code have changed, are listed and left (exit 1) unless --force is given. So
    are quarantined pairs: those that have failed --max-attempts times since their inputs or parameters changed.
    """
    check_named(run_id, latest)
    settings = settle(flags)
    from tasks.rerun import RerunJob, prepare_rerun

    job = RerunJob(
        root=settings.root,
        run_id=run_id or "",
        reasons=tuple(map(Reason, reasons)),
        manifest=manifest or "",
        set=dict(_assignment(text) for text in sets),
        allow=allow,
        force=force,
        max_attempts=max_attempts or 0,
        until=settings.options.until,
        engine=settings.options.engine if "engine" in settings.origins else "",
        ray_address=settings.options.ray_address,
    )
    selection = prepare_rerun(job)
    if not as_json:
        listing.selected(selection)
    if selection.submission is None or dry_run:
        code = 1 if selection.besides() else 0
        if as_json:
            show.as_json(
                {
                    "chosen": list(selection.chosen["pair_id"]),
                    "withheld": list(selection.withheld["pair_id"]),
                    "quarantined": list(selection.quarantined["pair_id"]),
                    "exit_code": code,
                }
            )
        else:
            listing.nothing_computed(selection, dry_run)
        return code
    return _flow(lambda: _rerun(job), selection, selection.submission, as_json)


def _nightly(job: Any) -> Any:
    from flows.nightly import nightly

    return nightly(job, return_state=True)


def _rerun(job: Any) -> Any:
    from flows.rerun import rerun as flow

    return flow(job, return_state=True)


def _flow(call: Callable[[], Any], prepared: Any, submission: Any, as_json: bool) -> int:
    """Run a flow in this process, with progress on stderr, and tell how it ended."""
    for name, value in PREFECT_SETTINGS.items():
        os.environ.setdefault(name, value)
    run = submission.run
    pairs, shards = amount(len(submission.plan.pairs), "pair"), amount(run.shards, "shard")
    click.echo(f"run {run.run_id}: {pairs} in {shards}, {run.skipped} skipped", err=True)
    with uncollected():
        from flows.hosted import run_hosted

    end = run_hosted(call, prepared, submission, lambda end, pairs: _tell(submission, end, pairs, as_json))
    return int(end.exit_code)


def _tell(submission: Any, end: Any, frame: Any, as_json: bool) -> None:
    from flows.outcome import next_command
    from tasks.report import PAGE
    from tasks.submit import is_there

    if as_json:
        show.as_json(end.model_dump(mode="json") | {"root": submission.root})
        return
    run = submission.run
    listing.failures(frame, run.run_id, submission.root)
    click.echo(f"run {run.run_id}: {end.message}")
    if ((frame["run_id"] == run.run_id) & (frame["status"] == "ok")).any():
        click.echo(f"audio:  {submission.layout.audio_folder(run.night, run.run_id)}")
    page = submission.layout.run(run.run_id, PAGE)
    again = f"not written; `gramophone report {run.run_id} {at_root(submission.root)}` tries again"
    click.echo(f"report: {page if is_there(submission.store, page) else again}")
    click.echo(f"next:   {next_command(run, end, submission.root)}")


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise UsageError(f"--set {text}: write NAME=VALUE.")
    return name, parsed(FIELDS[name], value) if name in FIELDS else value
