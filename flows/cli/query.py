"""`gramophone status`, `metrics` and `verify`: what stands in the results."""

from typing import Any

import click

from flows.cli import listing, show
from flows.cli.options import json_option, root_option
from flows.config import settle
from tasks.records.reasons import UsageError

METRICS = (
    "run_id",
    "pair_id",
    "status",
    "reason",
    "content_loss",
    "style_loss",
    "content_loss_heldout",
    "style_loss_heldout",
    "phase_convergence_db",
    "evaluations",
    "seconds_total",
    "device",
)


@click.command()
@click.argument("run_id", required=False)
@click.option("--latest", is_flag=True, help="The latest run.")
@root_option
@json_option
def status(run_id: str | None, latest: bool, as_json: bool, **flags: Any) -> None:
    """Show how the pairs of RUN_ID and its reruns stand: its manifest minus its results and the skipped."""
    if (run_id is None) != latest:
        raise UsageError("name a run, or say --latest (not both).")
    from tasks.layout import Layout
    from tasks.results import read_end
    from tasks.roots import place
    from tasks.standing import counts, family_of, is_working, of_family, reasons
    from tasks.store import open_store

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    family = family_of(store, layout, run_id)
    frame = of_family(store, layout, family)
    found = counts(frame)
    runs = []
    for run in family.runs:
        end = read_end(store, layout, run.run_id)
        how = (
            end.message if end else "still going on" if is_working(run.run_id) else "ended without a verdict (killed?)"
        )
        runs.append(
            {
                "run_id": run.run_id,
                "parent_run_id": run.parent_run_id,
                "night": run.night,
                "pairs": run.pairs,
                "ended": how,
            }
        )
    if as_json:
        columns = ["pair_id", "status", "reason", "message", "skipped", "run_id", "manifest_row", "audio_uri"]
        show.as_json({"runs": runs, "counts": found, "reasons": reasons(frame), "pairs": frame[columns]})
        return
    show.table(
        f"runs over {family.first.manifest_uri}",
        ("run", "rerun of", "night", "pairs", "ended"),
        [tuple(r.values()) for r in runs],
    )
    listing.failures(frame, family.last.run_id, root)
    before = f" ({found['skipped']} of them from earlier runs)" if found["skipped"] else ""
    parts = [f"{found['ok']} of {found['pairs']} pairs ok{before}"]
    parts += [f"{found[name]} {name}" for name in ("failed", "open") if found[name]]
    click.echo(", ".join(parts))


@click.command()
@click.option(
    "--run", "run_ids", multiple=True, metavar="RUN_ID", help="Only attempts of this run; may be given again."
)
@click.option("--failed", is_flag=True, help="Only failed attempts.")
@click.option("--sql", metavar="QUERY", help="SQL over the table `results` (DuckDB's dialect; no other table or file).")
@root_option
@json_option
def metrics(run_ids: tuple[str, ...], failed: bool, sql: str | None, as_json: bool, **flags: Any) -> None:
    """Show or query the results: one row for each attempt (columns: manifests/README.md)."""
    from tasks.layout import Layout
    from tasks.results import read_results
    from tasks.roots import place
    from tasks.standing import known_runs
    from tasks.store import open_store

    root = place(settle(flags).root)
    store, layout = open_store(root), Layout(root)
    known_runs(store, layout, run_ids)
    frame = read_results(store, layout, set(run_ids) or None)
    if failed:
        frame = frame[frame["status"] == "failed"]
    if sql is not None:
        frame = _query(frame, sql)
    elif not as_json:
        frame = frame[list((*METRICS[:3], "message", "run_id") if failed else METRICS)]
    if as_json:
        show.as_json(frame)
        return
    show.table(f"{len(frame)} rows", list(frame.columns), frame.itertuples(index=False))


def _query(frame: Any, sql: str) -> Any:
    """The query's answer. It sees the results and nothing else: no file, no network."""
    import duckdb

    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    connection.register("results", frame)
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    try:
        return connection.execute(sql).df()
    except duckdb.Error as error:
        raise UsageError(f"--sql: {str(error).splitlines()[0]}") from error


@click.command()
@click.option("--run", "run_ids", multiple=True, metavar="RUN_ID", help="Only this run; may be given again.")
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
    faults = list(check(store, layout, set(run_ids) or None))
    if as_json:
        show.as_json({"runs": len(runs), "faults": faults})
    elif faults:
        click.echo("\n".join(faults))
    else:
        click.echo(f"all is right in {len(runs)} runs: one row for each attempt, and its audio is there, whole")
    return 1 if faults else 0
