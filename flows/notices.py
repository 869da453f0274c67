"""What the Prefect UI says about a run, in words: its name, which pairs failed and what to type, where all of it is."""

import json
import os
import re
from collections import Counter
from urllib.parse import quote

import pandas as pd

from tasks.records.reasons import named, remedy
from tasks.records.run import EndRecord
from tasks.records.words import amount, at_root, pair_name
from tasks.report import PAGE
from tasks.results import rows_of
from tasks.submit import Submission

MOST_ROWS = 1_000
WEB_ROOT = "GRAMOPHONE_WEB_ROOT"
"""Environment of the worker: the address under which a browser opens what lies under the root, where there is one."""


def name_of(submission: Submission) -> str:
    """A flow run's name: manifest, night, that it is a rerun, and of how many pairs."""
    run = submission.run
    what = "rerun of " if run.parent_run_id else ""
    before = f", {run.skipped} more done before" if run.skipped else ""
    pairs = amount(run.pairs - run.skipped, "pair")
    return f"{run.manifest_uri.rsplit('/', 1)[-1]} {run.night}: {what}{pairs}{before}"


def progress(submission: Submission, done: int, failed: int, seconds: float) -> tuple[float, str]:
    """Percent, and a sentence. `seconds`: what the run has taken so far."""
    total = len(submission.plan.pairs)
    says = f"{done} of {amount(total, 'pair')} tried, {failed} of them failed"
    if 0 < done < total:
        says += f"; about {_duration(seconds / done * (total - done))} to go"
    return (100.0 * done / total if total else 100.0), says


def failures(left: pd.DataFrame, submission: Submission) -> str:
    """What to type about the pairs that are not done, by reason, the most frequent first (markdown)."""
    run = f"{submission.run.run_id} {at_root(submission.root)}"
    again = f"`gramophone rerun {run}`"
    what_to_do = {
        named(row): remedy(row["reason"], run, row["quarantined"]).replace(again, "rerun as above")
        for row in rows_of(left)
        if row["reason"]
    }
    often = Counter(named(row) for row in rows_of(left))
    lines = [
        f"Not done: {amount(len(left), 'pair')} of run `{submission.run.run_id}`. Once all is mended: {again}",
        "",
    ]
    lines += [f"- {number} {reason}: {what_to_do.get(reason, '')}" for reason, number in often.most_common()]
    if len(left) > MOST_ROWS:
        lines += ["", f"Below are the first {MOST_ROWS:,}; `gramophone status {run} --json` has all."]
    return "\n".join(lines)


def failure_rows(left: pd.DataFrame) -> str:
    """Which pair, why, shortly so that a screen holds it, and in full (a table in JSON)."""
    rows = [
        {
            "pair": pair_name(row["pair_id"], row["manifest_row"]),
            "reason": named(row),
            "message": _shortly(row["message"] or ""),
            "in full": row["message"] or "",
        }
        for row in rows_of(left.head(MOST_ROWS))
    ]
    return json.dumps(rows)


def results(submission: Submission, end: EndRecord) -> str:
    """Where the page, the rows and the audio of a run are, and the commands that show them (markdown)."""
    layout, run, root = submission.layout, submission.run, submission.root
    page = layout.run(run.run_id, PAGE)
    address = web_address(page, root)
    return "\n".join(
        [
            f"**{end.message}**",
            "",
            f"- the report: [{address}]({address})" if address else f"- the report: `{page}`",
            f"- to look at and to listen to: `gramophone listen {run.run_id} {at_root(root)}`",
            f"- which pairs, and why: `gramophone status {run.run_id} {at_root(root)}`",
            f"- rows: `{layout.run_results(run.night, run.run_id)}`",
            f"- audio: `{layout.audio_folder(run.night, run.run_id)}`",
        ]
    )


def web_address(uri: str, root: str) -> str | None:
    """Where a browser finds what lies at `uri` under the root; None where nobody has said so.

    A page from a server opens no file and no bucket: a link there would do nothing.
    """
    served = os.environ.get(WEB_ROOT, "").rstrip("/")
    if not re.fullmatch(r"https?://[^@?#\s]+", served):  # it holds no credentials
        return None
    return f"{served}/{quote(uri.removeprefix(root).lstrip('/'))}"


def _shortly(message: str) -> str:
    """A message with the last name of each URI only."""
    return re.sub(r"(?:file|s3)://[^\s']*/(?=[^\s'/])", ".../", message)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    return amount(minutes, "minute") if minutes < 120 else f"{minutes / 60:.1f} hours"
