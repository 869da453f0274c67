"""`gramophone restyle`: one pair from two files, with no manifest, no store and no Prefect."""

from pathlib import Path
from typing import Any

import click

from flows.cli import output, show
from flows.cli.options import json_option, parameter_options, root_option
from flows.config import settle
from tasks.records.reasons import UsageError

FORMATS = {".flac": "flac", ".wav": "wav", ".ogg": "ogg", ".mp3": "mp3"}
SHOWN = (
    "content_loss",
    "style_loss",
    "content_loss_heldout",
    "style_loss_heldout",
    "chroma_similarity",
    "timbre_distance",
    "loudness_lufs",
    "peak_dbtp",
    "evaluations",
    "seconds_total",
)


@click.command()
@click.argument("content", type=click.Path(path_type=Path))
@click.argument("style", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="The file to write: .flac, .wav, .ogg or .mp3."
)
@click.option("--content-start", type=float, help="Start of the content's slice, seconds.")
@click.option("--content-seconds", type=float, help="Length of the content's slice, seconds.")
@click.option("--style-start", type=float, help="Start of the style's slice, seconds.")
@click.option("--style-seconds", type=float, help="Length of the style's slice, seconds.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N  [default: auto]")
@click.option("--overwrite", is_flag=True, help="Replace the output file if it is there.")
@root_option
@parameter_options
@json_option
def restyle(
    content: Path, style: Path, out: Path, content_start: float | None, content_seconds: float | None,
    style_start: float | None, style_seconds: float | None, device: str, overwrite: bool, as_json: bool, **flags: Any,
) -> None:  # fmt: skip
    """Restyle one track: CONTENT in the texture of STYLE.

    With --method feedforward by the network of STYLE, which is looked for below --root. Nothing else is read there, but
    for what was withdrawn, which is not used here either.
    """
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out}: the name must end in {', '.join(FORMATS)}.")
    output.check(out, overwrite)
    given = settle({**flags, "audio_format": FORMATS[out.suffix.lower()]})
    from tasks.computing import set_up
    from tasks.records.pair import Input
    from tasks.records.usual import USUAL
    from tasks.roots import place
    from tasks.single import restyle_files

    set_up()

    params = given.parameters
    if params.warning:
        click.echo(params.warning, err=True)
    feedforward = params.method == "feedforward"
    optimised = params.spectrogram_evaluations + params.refine_evaluations
    total = 1 + params.feedforward_refine_evaluations if feedforward else optimised
    inputs = (
        Input("content", str(content), content_start, content_seconds),
        Input("style", str(style), style_start, style_seconds),
    )
    with show.Meter(total, "evaluations, at most") as meter:
        restyled = restyle_files(
            inputs, params, device, lambda stage, done: meter.advance(done, stage), place(given.root)
        )
    output.write(out, restyled.data)
    values = {name: restyled.values[name] for name in SHOWN}
    if as_json:
        show.as_json({"out": str(out), **values})
    else:
        usual = {name: f"{low:g} to {high:g}" for name, (low, high) in USUAL.items()}
        rows = [(name, value, usual.get(name)) for name, value in values.items()]
        show.table(str(out), ("figure", "value", "usual, of real music"), rows)
