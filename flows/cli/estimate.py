"""`gramophone estimate`: what a night over a manifest would take."""

import os
from functools import partial
from typing import Any

import click

from flows.cli import show
from flows.cli.options import PLACE, job_options, json_option, parameter_options, root_option, run_options
from flows.config import settle, validation_message
from tasks.records.reasons import UsageError
from tasks.records.words import amount


@click.command()
@click.argument("manifest", type=PLACE)
@click.option("--hour-price", type=click.FloatRange(min=0), help="Money for one hour of a device.")
@click.option(
    "--open", "most", type=click.IntRange(1, 1_000_000), default=200, show_default=True, metavar="N",
    help="Open at most so many contents whose length no slice says; the rest are taken to be as long.",
)  # fmt: skip
@root_option
@job_options
@run_options
@parameter_options
@json_option
def estimate(
    manifest: str, hour_price: float | None, most: int, as_json: bool, night: str | None, wait: str | None, **flags: Any
) -> int:
    """Say what a run over MANIFEST would take: audio minutes, device hours, storage and, for a price, money.

    Device hours go by what earlier pairs under --root took on a device like this one, for a second of audio: the mean,
    and the range in which eight of ten of them lay; a device is taken to have had as many workers
    (--workers-per-device) as it would have now. Pairs that are done are not counted again. Nothing is written.
    """
    from pydantic import ValidationError

    from tasks.records.run import Job

    settings = settle(flags)
    try:
        job = Job(manifest=manifest, root=settings.root, parameters=settings.parameters, options=settings.options,
                  night=night or "", wait=wait or "")  # fmt: skip
    except ValidationError as error:
        raise UsageError(validation_message(error)) from error
    from tasks import estimate as estimates
    from tasks.computing import set_up
    from tasks.manifest.build import probed_uris
    from tasks.roots import Roots
    from tasks.submit import prepare_nightly
    from tasks.worker import crowd, device_columns, devices

    found = devices(job.options.device)
    workers, threads = crowd(job.options, found[0], os.cpu_count() or 1)
    set_up(threads)
    planned = prepare_nightly(job, tell=partial(click.echo, err=True))
    pairs = [pair for pair in planned.plan.pairs if not pair.faults and all(one.etag for one in pair.inputs)]
    opened = estimates.lengths(pairs, lambda uris: probed_uris(uris, Roots(planned.run.allowed), job.options), most)
    if opened.unusable and not opened.opened and opened.assumed:
        uri, why = next(iter(opened.unusable.items()))
        raise UsageError(f"none of the {len(opened.unusable)} contents that were opened can be used; {uri} {why}.")
    usable = [pair for pair in pairs if pair.content and pair.content.uri not in opened.unusable]
    curves = sum(stat.size for _, stat in planned.store.list(planned.layout.all_curves()))
    past, device = estimates.read_past(planned.store, planned.layout), device_columns(found[0])
    told = estimates.estimate(usable, opened.of, past, device, curves)
    figures = _figures(told, len(found), workers, hour_price)
    fails = len(planned.plan.pairs) - len(usable)
    if as_json:
        show.as_json(
            {
                "pairs": told.pairs, "skipped": len(planned.plan.skipped), "fails": fails,
                "audio_seconds": told.audio_seconds, "opened": len(opened.opened), "assumed": opened.assumed,
                "device": device["device"], "devices": len(found), "past_pairs": told.past, "alike": told.alike,
                **{name: None if value is None else vars(value) for name, value in figures.items()},
                "curves_bytes": told.curves_bytes,
            }
        )  # fmt: skip
        return 0
    _tell(told, opened, figures, len(planned.plan.skipped), fails, device["device"], len(found))
    if told.device_seconds is None and told.pairs:
        click.echo(
            f"no earlier pair under {planned.root} tells how long these take on {device['device']}: run a manifest of "
            "a few of them first, or name the --root of earlier runs"
        )
    return 0


def _figures(told: Any, devices: int, workers: int, hour_price: float | None) -> dict[str, Any]:
    from tasks.estimate import Range

    def scaled(found: Any, by: float) -> Any:
        return None if found is None else Range(found.low * by, found.mean * by, found.high * by)

    hours = scaled(told.device_seconds, 1 / 3600 / workers)  # a device has so many pairs in hand at a time
    figures = {
        "device_hours": hours,
        "wall_hours": scaled(hours, 1 / devices),
        "audio_bytes": told.audio_bytes,
    }
    return figures | ({} if hour_price is None else {"money": scaled(hours, hour_price)})


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def _tell(told: Any, opened: Any, figures: dict[str, Any], skipped: int, fails: int, device: str, devices: int) -> None:
    click.echo(f"{amount(told.pairs, 'pair')} to compute, {skipped} to skip, {fails} would fail; nothing was written")
    if not told.pairs:
        return
    assumed = f" ({opened.assumed} contents were not opened, and taken to be as long as the others)"
    click.echo(f"{told.audio_seconds / 60:,.1f} minutes of audio{assumed if opened.assumed else ''}")
    hours = told.device_seconds is None or told.device_seconds.mean >= 3_600
    unit, by = ("hours", 1.0) if hours else ("minutes", 60.0)
    units = {
        "device_hours": (f"{unit} of {device}", by),
        "wall_hours": (f"{unit} of the night, on {amount(devices, 'device')}", by),
        "audio_bytes": ("MB of audio", 1e-6),
        "money": ("money", 1.0),
    }
    rows = [
        (units[name][0], *(_said(units[name][1] * value) for value in (found.low, found.mean, found.high)))
        for name, found in figures.items()
        if found is not None
    ]
    if told.curves_bytes is not None:
        rows.append(("MB of curves and pictures", "-", _said(told.curves_bytes / 1e6), "-"))
    if rows:
        show.table("it would take", ("what", "at least, say", "mean", "at most, say"), rows)
    if told.device_seconds is not None:
        others = told.pairs - told.alike
        rest = f"; {others} whose parameters were not run here, by all of their method" if others else ""
        past = amount(told.past, "earlier pair")
        click.echo(f"time goes by {past} on such a device{rest}; half a minute to start is not in it")
