"""`gramophone train`: a network for one style, with no Prefect: it goes on after a kill by itself."""

from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from flows.cli import show
from flows.cli.options import PLACE, RUN_ID, field_options, json_option, parameter_options, root_option
from flows.config import settle, validation_message
from tasks.records.reasons import UsageError
from tasks.records.run import Options
from tasks.records.training import TrainingJob, TrainingOptions
from tasks.records.words import amount, at_root

USED = ("device", "threads", "timeout_seconds", "max_input_mb", "max_channels", "allow", "allow_defaults")
training_options = field_options(dict(TrainingOptions.model_fields))
used_options = field_options({name: Options.model_fields[name] for name in USED})


@click.command()
@click.argument("style", required=False, type=PLACE)
@click.option("--corpus", type=PLACE, help="A manifest, whose contents are used, or a folder of audio.")
@click.option(
    "--resume", type=RUN_ID, metavar="RUN_ID", help="Go on with a training that was interrupted, from its checkpoint."
)
@click.option("--dry-run", is_flag=True, help="Read everything, say what would be trained and how long; write nothing.")
@click.option(
    "--learning-curve",
    "curve_steps",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Instead of a network: would more sources help? Train for STEPS on 25, 50 and 100 % of them.",
)
@root_option
@training_options
@used_options
@parameter_options
@json_option
def train(
    style: str | None,
    corpus: str | None,
    resume: str | None,
    dry_run: bool,
    curve_steps: int | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Train a network that restyles in the texture of STYLE in a single pass.

    It is written below --root, at models/<digest of STYLE>/NAME.safetensors, where `--method feedforward` finds it. A
    part of the corpus is kept for validation, by source, and the network that does best there is written.
    """
    begin = _begun(style, corpus, resume, flags)
    from tasks.computing import set_up

    prepared = begin()
    set_up(prepared.job.options.threads)
    for uri, why in prepared.corpus.left_out:
        click.echo(f"left out: {uri}: {why}", err=True)
    if curve_steps:
        return _learning_curve(prepared, curve_steps, as_json)
    steps = _tell_plan(prepared)
    if dry_run:
        return 0
    return _carried_out(prepared, steps, as_json)


def _begun(style: str | None, corpus: str | None, resume: str | None, flags: dict[str, Any]) -> Callable[[], Any]:
    """What reads the sounds of the training that is meant. Raises UsageError."""
    own = {name: flags.pop(name) for name in TrainingOptions.model_fields}
    settings = settle(flags)
    if resume:
        if style or corpus:
            raise UsageError("--resume names the training, which knows its style and corpus; leave them out.")
        from tasks.training import session

        return lambda: session.resume(settings.root, resume)
    if not style or not corpus:
        raise UsageError("name the STYLE and its --corpus, or --resume RUN_ID.")
    try:
        job = TrainingJob(
            style=style,
            corpus=corpus,
            root=settings.root,
            parameters=settings.parameters,
            training=TrainingOptions(**{name: value for name, value in own.items() if value is not None}),
            options=settings.options,
        )
    except ValidationError as error:
        raise UsageError(validation_message(error)) from error
    from tasks.training import session

    return lambda: session.prepare(job)


def _tell_plan(prepared: Any) -> int:
    """What is trained on, and how long it takes; returns the steps that fit the budget."""
    sides, budget, timed = prepared.split, prepared.budget, prepared.estimate
    steps = int(timed.steps_within(budget))
    click.echo(
        f"training {prepared.record.run_id}: {amount(len(sides.training), 'source')} to train on, "
        f"{len(sides.validation)} kept for validation; {timed.seconds_step:.2g} s a step, at most {steps:,} steps in "
        f"{timed.seconds_of(steps, budget) / 60:,.1f} minutes",
        err=True,
    )
    if sides.refusal:
        click.echo(sides.refusal, err=True)
    return steps


def _carried_out(prepared: Any, steps: int, as_json: bool) -> int:
    from tasks.training import session

    run_id, root = prepared.record.run_id, prepared.job.root
    work, validated = session.carry_out(prepared), ""
    try:
        with show.Meter(steps, "steps") as meter:
            meter.advance(prepared.state.step)
            while True:
                try:
                    record = next(work)
                except StopIteration as end:
                    ended = end.value
                    break
                if record.validated:
                    validated = f", validation {record.validation_total:.4f}"
                meter.advance(1, f"loss {record.total:.4f}{validated}")
    except KeyboardInterrupt:
        show.say(f"\nits last checkpoint is kept; go on with `gramophone train --resume {run_id} {at_root(root)}`")
        raise
    if as_json:
        show.as_json(ended.model_dump(mode="json"))
        return 0
    click.echo(f"training {run_id}: {ended.message}")
    click.echo(f"network: {ended.network_uri}")
    click.echo(f"curves:  {ended.curves_uri}; drawn by `gramophone report {run_id} {at_root(root)}`")
    click.echo(f"next:    gramophone run MANIFEST --method feedforward {at_root(root)}")
    return 0


def _learning_curve(prepared: Any, steps: int, as_json: bool) -> int:
    from tasks.training.learning_curve import advice, learning_curve

    curve = []
    for point in learning_curve(prepared, steps):
        curve.append(point)
        show.say(f"{point.sources} sources: validation loss {point.validation_total:.4f}")
    told = advice(curve)
    if as_json:
        show.as_json({"curve": [vars(point) for point in curve], "advice": told})
        return 0
    rows = [(f"{p.share:.0%}", p.sources, p.training_total, p.validation_total) for p in curve]
    show.table("learning curve", ("share", "sources", "training loss", "validation loss"), rows)
    click.echo(told)
    return 0
