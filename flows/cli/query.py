"""`gramophone status` and `verify`: how the pairs stand, and that their audio does."""

from datetime import UTC, date, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import click

from flows.cli import listing, output, show
from flows.cli.options import RUN_ID, field_options, json_option, root_option
from flows.config import FIELDS, settle
from tasks.records.reasons import QUARANTINED, REFUSALS, OutOfReach, PairError, UsageError
from tasks.records.words import amount, at_root

PAIRS = (
    "pair_id",
    "status",
    "reason",
    "message",
    "skipped",
    "attempts",
    "quarantined",
    "withdrawn",
    "run_id",
    "manifest_row",
    "audio_uri",
)


@click.command()
@click.argument("run_id", required=False, type=RUN_ID)
@click.option("--latest", is_flag=True, help="The latest run.")
@click.option("--night", metavar="DATE|today", help="Exit code 0 only if that night was run and every pair is done.")
@click.option("--manifest", help="With --night: that manifest was run, {night} replaced by the date.")
@click.option(
    "--openmetrics", "measured", metavar="FILE|URL|-", help="With --night: its figures for Prometheus, to that place."
)
@field_options({"timezone": FIELDS["timezone"]})
@root_option
@json_option
def status(
    run_id: str | None,
    latest: bool,
    night: str | None,
    manifest: str | None,
    measured: str | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Show how the pairs of RUN_ID and its reruns stand: its manifest minus its results and the skipped.

    With --night it is a check for a monitor outside Prefect, which neither a dead server nor a broken schedule can
    silence: exit code 1 where that night has no run, or a pair that is not done.

    --openmetrics writes its figures beside: to a file, which is replaced as a whole (for the textfile collector of
    node_exporter: give it a name that ends in .prom), to a Pushgateway (http://HOST:9091/metrics/job/gramophone), or,
    with -, to stdout in place of the table. Where the results are out of reach they tell exit code 4 alone.
    """
    if manifest is not None and night is None:
        raise UsageError("--manifest goes with --night: `gramophone status --night today --manifest URI`.")
    if measured is not None and night is None:
        raise UsageError("--openmetrics goes with --night: `gramophone status --night today --openmetrics -`.")
    if measured == "-" and as_json:
        raise UsageError("--openmetrics - and --json both want stdout: name a file, as night.prom, for one of them.")
    _check_address(measured or "")
    if [run_id is not None, latest, night is not None].count(True) != 1:
        raise UsageError("name a run, or say --latest or --night DATE (one of them): `gramophone status --latest`.")
    from tasks.layout import Layout
    from tasks.openmetrics import stood
    from tasks.roots import place
    from tasks.standing import families_of_night, family_of
    from tasks.store import open_store

    settings = settle(flags)
    root = place(settings.root)
    store, layout = open_store(root), Layout(root)
    if night is None:
        found = _found(stood(store, layout, family_of(store, layout, run_id)))
        show.as_json(found) if as_json else _tell(found, root)
        return 0
    dated = _date(night, settings.options.timezone)
    wanted = None if manifest is None else place(manifest.replace("{night}", dated))
    try:
        of_night = families_of_night(store, layout, dated)
        of_night = [family for family in of_night if wanted in (None, family.first.manifest_uri)]
        standings = [stood(store, layout, family) for family in of_night]
    except (OutOfReach, PairError):
        if measured is not None:
            _tell_out_of_reach(measured, dated)
        raise
    families = [_found(one) for one in standings]
    code = 0 if families and all(one["counts"]["ok"] == one["counts"]["pairs"] for one in families) else 1
    if measured is not None:
        _tell_figures(measured, dated, code, standings)
        if measured == "-":
            return code
    if as_json:
        show.as_json({"night": dated, "families": families, "exit_code": code})
        return code
    if not families:
        what = f" over {wanted}" if wanted else ""
        again = f"gramophone run {quote(wanted) if wanted else 'MANIFEST'} --night {dated} {at_root(root)}"
        click.echo(f"no run of the night {dated}{what} under {root}; `{again}` starts one")
    for one in families:
        _tell(one, root)
    return code


def _date(night: str, timezone: str) -> str:
    """The date that was asked for; `today` is the night that is dated today in the time zone."""
    from tasks.records.texts import night_of

    if night == "today":
        return str(night_of(datetime.now(UTC), timezone))
    try:
        return str(date.fromisoformat(night))
    except ValueError:
        raise UsageError(f"--night {night}: say `today`, or a date such as 2026-11-24.") from None


def _check_address(measured: str) -> None:
    """Raises UsageError for an address that holds a password: it would stand in logs and lists of processes."""
    from tasks.roots import bare

    if bare(measured) != measured:
        raise UsageError("--openmetrics: the address holds a password or signature; let a proxy of your own add it.")


def _tell_figures(measured: str, night: str, code: int, standings: Any) -> None:
    """Raises OutOfReach where a Pushgateway does not take them, PairError or UsageError where a file is not written."""
    from tasks.openmetrics import CONTENT_TYPE, of_night

    text = of_night(night, code, standings, datetime.now(UTC))
    if measured == "-":
        click.echo(text, nl=False)
    elif measured.startswith(("http://", "https://")):
        import httpx

        try:
            httpx.put(measured, content=text, headers={"Content-Type": CONTENT_TYPE}, timeout=20).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise OutOfReach(
                f"the figures of {night} were not taken by {measured} ({why}); "
                "name the group of a Pushgateway: http://HOST:9091/metrics/job/gramophone."
            ) from error
    else:
        output.check(Path(measured), overwrite=True)
        output.write(Path(measured), text.encode())


def _tell_out_of_reach(measured: str, night: str) -> None:
    """That nothing could be looked at: else the figures of the look before would go on standing for the night's."""
    try:
        _tell_figures(measured, night, 4, ())
    except REFUSALS as error:  # told beside what keeps us from looking, and not in its place
        click.echo(f"error: {error}", err=True)


def _found(one: Any) -> dict[str, Any]:
    """What there is to say of a family of runs, as --json says it."""
    from tasks.at_work import is_working
    from tasks.standing import counts, reasons

    runs = []
    for run in one.family.runs:
        end = one.ends.get(run.run_id)
        runs.append(
            {
                "run_id": run.run_id,
                "parent_run_id": run.parent_run_id,
                "night": run.night,
                "pairs": run.pairs,
                "ended": end.message if end else "still going on" if is_working(run.run_id) else _unjudged(run),
            }
        )
    return {
        "manifest_uri": one.family.first.manifest_uri,
        "runs": runs,
        "counts": counts(one.pairs),
        "reasons": reasons(one.pairs),
        "pairs": one.pairs[list(PAIRS)],
    }


def _tell(found: dict[str, Any], root: str) -> None:
    show.table(
        f"runs over {found['manifest_uri']}",
        ("run", "rerun of", "night", "pairs", "ended"),
        [tuple(run.values()) for run in found["runs"]],
    )
    listing.failures(found["pairs"], found["runs"][-1]["run_id"], root)
    listing.withdrawn(found["pairs"], found["runs"][-1]["run_id"], root)
    count = found["counts"]
    before = f" ({count['skipped']} of them from earlier runs)" if count["skipped"] else ""
    parts = [f"{count['ok']} of {count['pairs']} pairs ok{before}"]
    parts += [f"{count[name]} {name}" for name in ("failed", "open") if count[name]]
    if quarantined := int(found["pairs"]["quarantined"].sum()):
        parts.append(f"{quarantined} of the failed {QUARANTINED}")
    if withdrawn := int(found["pairs"]["withdrawn"].sum()):
        parts.append(f"{withdrawn} of the ok withdrawn since, their audio deleted")
    click.echo(", ".join(parts))


def _unjudged(run: Any) -> str:
    """What may be said of a run without end.json that no process of this machine works on."""
    import platform

    if run.host == platform.node():
        return "ended without a verdict (killed?)"
    return f"no verdict yet: at work on {run.host}, or killed there"


@click.command()
@click.option(
    "--run", "run_ids", multiple=True, type=RUN_ID, metavar="RUN_ID", help="Only this run; may be given again."
)
@root_option
@json_option
def verify(run_ids: tuple[str, ...], as_json: bool, **flags: Any) -> int:
    """Check that each attempt has one row and each `ok` row its audio, whole. Exit code 1 where not."""
    from tasks.layout import Layout
    from tasks.roots import place
    from tasks.standing import known_runs
    from tasks.store import open_store
    from tasks.verify import verify as check

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    runs = known_runs(store, layout, run_ids)
    checked = len(run_ids) or len(runs)
    faults = list(check(store, layout, set(run_ids) or None))
    if as_json:
        show.as_json({"runs": checked, "faults": faults})
    elif faults:
        click.echo("\n".join(faults))
        click.echo(f"{amount(len(faults), 'fault')} in {amount(checked, 'run')}", err=True)
    else:
        click.echo(
            f"all is right in {amount(checked, 'run')}: one row for each attempt, its audio and curves there, whole"
        )
    return 1 if faults else 0
