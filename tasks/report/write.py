"""The page and its parts, as objects beside the run's record."""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from tasks.layout import Layout
from tasks.records.usual import USUAL
from tasks.report.facts import FIGURES, LINE, PART, Facts, facts
from tasks.report.histogram import histogram
from tasks.report.rendering import rendered, script_json, text_of
from tasks.scale import HIGHEST_HZ, LOWEST_HZ
from tasks.standing import family_of
from tasks.store import Store, join

PAGE = "report.html"
MOST_PAIRS = 2_000
DRAWN = {"style_loss": False, "content_loss": False, "chroma_similarity": False, "seconds_total": True}
"""The figures whose distribution is drawn, and whether over powers."""
BAND = (LOWEST_HZ, HIGHEST_HZ)
"""What the spectrograms show."""


def write_report(
    store: Store, layout: Layout, run_id: str | None = None, most: int = MOST_PAIRS, stood: pd.DataFrame | None = None
) -> str:
    """Write the report of a run (None: the latest) and its reruns; returns the URI of the page.

    `stood`: how the pairs of that run alone stand in brief, where that is known; it serves where there is no other.
    Raises UsageError where there is no such run, PairError where it cannot be written.
    """
    family = family_of(store, layout, run_id)
    found = facts(store, layout, family, most, stood if len(family.runs) == 1 else None)
    uri = layout.run(run_id or family.last.run_id, PAGE)
    folder = uri.rsplit("/", 1)[0]

    def write_part(number: int) -> None:
        text = f"gramophone.part({number}, {script_json(found.part(number, folder))})\n"
        store.replace(join(folder, "report", f"{number:04d}.js"), text.encode())

    with ThreadPoolExecutor(2) as pool:  # each reads a file of curves for each of its pairs
        list(pool.map(write_part, range(found.parts)))
    store.replace(uri, _page(found).encode())
    return uri


def is_training(store: Store, layout: Layout, run_id: str) -> bool:
    """Whether a run is a training, whose page is another."""
    return store.stat(layout.training(run_id, "training.json")) is not None


def _page(found: Facts) -> str:
    drawn = [histogram(name, found.column(name), powers) for name, powers in DRAWN.items()]
    return rendered(
        "tasks.report",
        "page.html.j2",
        found=found,
        drawn=[one for one in drawn if one],
        docs=FIGURES,
        data={"columns": LINE, "pairs": found.lines(), "part": PART, "docs": FIGURES, "usual": USUAL, "band": BAND},
        script=text_of("tasks.report", "page.js"),
    )
