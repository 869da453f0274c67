"""`gramophone plot`: results as pictures, in files."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from flows.cli import output, show
from flows.cli.options import RUN_ID, Command, root_option
from flows.config import settle
from tasks.records.reasons import UsageError


class Drawing:
    """Whose pairs are drawn, and into which file. Raises UsageError, before anything is read, where that cannot be."""

    def __init__(
        self, run_id: str | None, latest: bool, out: Path | None, overwrite: bool, as_json: bool, **flags: Any
    ) -> None:
        if run_id is not None and latest:
            raise UsageError("name a run, or say --latest (not both).")
        if out is None and not as_json:
            raise UsageError("say which file to write: -o FILE.png (or .svg, .pdf), or --json to print what is drawn.")
        if out is not None:
            self._check(out, overwrite)
        self._run_id, self._latest, self._out, self._as_json, self._flags = run_id, latest, out, as_json, flags

    def rows(self) -> Any:
        """How the pairs stand."""
        from tasks.layout import Layout
        from tasks.roots import place
        from tasks.standing import family_of, known_runs, of_family, standing
        from tasks.store import open_store

        layout = Layout(place(settle(self._flags).root))
        store = open_store(layout.root)
        if self._run_id is not None or self._latest:
            return of_family(store, layout, family_of(store, layout, self._run_id))
        known_runs(store, layout)
        return standing(layout.root)

    def finish(self, drawn: Any, draw: Callable[[], Any]) -> None:
        """Write the file, if one was named, and tell: what is drawn, or where the file is."""
        if self._out is not None:
            output.write(self._out, draw().file(self._out.suffix[1:].lower()))
        if self._as_json:
            show.as_json({"path": self._out, "drawn": drawn})
        else:
            click.echo(self._out)

    @staticmethod
    def _check(out: Path, overwrite: bool) -> None:
        from tasks.plots.canvas import KINDS

        if out.suffix[1:].lower() not in KINDS:
            raise UsageError(f"{out}: the name has to end in {', '.join(f'.{kind}' for kind in KINDS)}.")
        output.check(out, overwrite)


@click.group()
def plot() -> None:
    """Draw spectrograms, losses, a sweep, or a figure by style."""


def _drawing(command: Command) -> Command:
    """What every picture is asked with."""
    out = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print what is drawn as JSON; no file need be named."),
        root_option,
        click.option("--overwrite", is_flag=True, help="Replace the output file if it is there."),
        click.option("-o", "--out", type=out, help="The file to write: .png, .svg or .pdf."),
        click.option("--latest", is_flag=True, help="Of the latest run.  [default: of all runs]"),
        click.argument("run_id", required=False, type=RUN_ID),
    ):
        command = option(command)
    return command


@plot.command()
@click.option("--pair", required=True, metavar="PAIR_ID", help="Of several runs: the one that was done last.")
@_drawing
def spectrograms(pair: str, **asked: Any) -> None:
    """Draw the three spectrograms of a pair.

    Content, first style and result on one scale, Hz in octaves over seconds, of RUN_ID and its reruns, or of all runs.
    """
    drawing = Drawing(**asked)
    rows = _pairs(drawing.rows(), [pair])
    from tasks.plots import spectrograms as draw
    from tasks.plots import with_curves
    from tasks.plots.spectrograms import sounds

    done = rows[rows["status"] == "ok"]
    row = with_curves((rows if done.empty else done).tail(1)).iloc[0]
    drawing.finish([vars(sound) for sound in sounds(row)], lambda: draw(row))


@plot.command()
@click.option("--pair", "pairs", multiple=True, metavar="PAIR_ID", help="Only this pair; may be given again.")
@_drawing
def losses(pairs: tuple[str, ...], **asked: Any) -> None:
    """Draw the losses of pairs over evaluations.

    Style and content, stage by stage, of RUN_ID and its reruns, or of all runs. The pairs whose style losses end
    highest are named.
    """
    drawing = Drawing(**asked)
    rows = drawing.rows()
    from tasks.plots import losses as draw
    from tasks.plots import with_curves
    from tasks.plots.losses import curves

    found = with_curves(_pairs(rows, pairs) if pairs else rows)
    drawing.finish(curves(found), lambda: draw(found))


@plot.command()
@click.option("--over", default="strength", show_default=True, metavar="NAME", help="The parameter that was swept.")
@click.option(
    "--figure", "figures", multiple=True, metavar="COLUMN", help="A column of the results; may be given again."
)
@_drawing
def sweep(over: str, figures: tuple[str, ...], **asked: Any) -> None:
    """Draw figures over a swept parameter.

    A line for each content and style, the median of its pairs, of RUN_ID and its reruns, or of all runs. Without
    --figure: the losses, and how much of notes and rhythm is kept.
    """
    drawing = Drawing(**asked)
    rows = drawing.rows()
    from tasks.plots import sweep as draw
    from tasks.plots.sweep import USUAL, medians

    drawing.finish(medians(rows, over, figures or USUAL), lambda: draw(rows, over, figures or USUAL))


@plot.command("by-style")
@click.option("--figure", default="style_loss", show_default=True, metavar="COLUMN", help="A column of the results.")
@_drawing
def by_style(figure: str, **asked: Any) -> None:
    """Draw a figure by style.

    A dot for each pair, a box for each style that has several, of RUN_ID and its reruns, or of all runs.
    """
    drawing = Drawing(**asked)
    rows = drawing.rows()
    from tasks.plots import by_style as draw
    from tasks.plots.by_style import values

    drawing.finish(values(rows, figure), lambda: draw(rows, figure))


def _pairs(rows: Any, wanted: Sequence[str]) -> Any:
    known = set(rows["pair_id"].dropna())
    for pair in wanted:
        if pair not in known:
            close = get_close_matches(pair, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`gramophone status --latest --json` lists them."
            raise UsageError(f"no pair {pair!r} there; {hint}")
    return rows[rows["pair_id"].isin(wanted)]
