"""`gramophone manifest build` and `validate`."""

from pathlib import Path
from shlex import quote
from typing import Any, Literal

import click

from flows.cli import output, show
from flows.cli.options import json_option
from flows.config import FIELDS, kind_of, parsed, settle
from tasks.records.reasons import UsageError
from tasks.records.words import amount


@click.group()
def manifest() -> None:
    """Build and validate manifests."""


@manifest.command()
@click.argument("content_dir", type=click.Path(path_type=Path))
@click.argument("style_dir", type=click.Path(path_type=Path))
@click.option(
    "--pair",
    "pairing",
    type=click.Choice(["zip", "product"]),
    default="product",
    show_default=True,
    help="zip: first with first, second with second; product: every content with every style.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("manifest.parquet"),
    show_default=True,
    help="The manifest to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace the manifest if it is there.")
@click.option("--content-start", type=float, help="Start of every content's slice, seconds.")
@click.option("--content-seconds", type=float, help="Length of every content's slice, seconds.")
@click.option("--style-start", type=float, help="Start of every style's slice, seconds.")
@click.option("--style-seconds", type=float, help="Length of every style's slice, seconds.")
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=V1,V2,...",
    help="A row of each pair for each value of a parameter (`gramophone run --help` lists them), the entries of a list "
    "joined by +; may be given again, for every combination.",
)
def build(
    content_dir: Path,
    style_dir: Path,
    pairing: Literal["zip", "product"],
    out: Path,
    overwrite: bool,
    sweeps: tuple[str, ...],
    **slices: float | None,
) -> None:
    """Build a manifest from the audio below CONTENT_DIR and STYLE_DIR."""
    from tasks.manifest.build import build as table_of
    from tasks.manifest.sweep import choices
    from tasks.stored import parquet_bytes

    output.check(out, overwrite)
    chosen = choices([_sweep(text) for text in sweeps], settle({}).parameters)
    table = table_of(content_dir, style_dir, pairing, out, slices, chosen)
    output.write(out, parquet_bytes(table))
    click.echo(f"{out}: {amount(table.num_rows, 'pair')}; next: gramophone manifest validate {quote(str(out))} --probe")


@manifest.command()
@click.argument("manifest", metavar="MANIFEST")
@click.option("--probe", is_flag=True, help="Open the audio: existence, duration, rate, channels, silence.")
@click.option("--allow", multiple=True, help="A further place that inputs may come from; may be given again.")
@json_option
def validate(manifest: str, probe: bool, allow: tuple[str, ...], as_json: bool) -> int:
    """Name everything that is wrong with MANIFEST at once. Exit code 1 where rows are wrong, 2 where the whole is."""
    settings = settle({"allow": allow})
    from tasks.manifest import read_manifest
    from tasks.manifest.build import probe_audio
    from tasks.roots import place
    from tasks.store import open_store
    from tasks.submit import allowed_roots

    uri = place(manifest)
    store = open_store(uri)
    read = read_manifest(store, uri, settings.parameters, settings.options)
    faults = read.all_faults()
    audio: dict[str, Any] = {}
    if probe:
        roots = allowed_roots(read.folder, place(settings.root), settings.options)
        probed = probe_audio(read, settings.parameters, roots, settings.options)
        faults = sorted([*faults, *probed.faults], key=lambda fault: fault.row)
        audio = probed.audio
    if as_json:
        show.as_json(
            {"rows": len(read), "faults": [vars(f) for f in faults], "audio": {u: vars(a) for u, a in audio.items()}}
        )
        return 1 if faults else 0
    if audio:
        rows = [
            (u, f"{a.seconds:.2f}", a.sample_rate, a.channels, f"{a.format} {a.subtype}", f"{a.peak:.3f}")
            for u, a in sorted(audio.items())
        ]
        show.table("audio", ("file", "seconds", "rate, Hz", "channels", "format", "peak"), rows)
    if faults:
        show.table(
            "faults",
            ("row", "column", "value", "reason", "why", "remedy"),
            [(f.row, f.column, f.value, str(f.reason), f.why, f.remedy) for f in faults],
        )
    wrong = len({fault.row for fault in faults})
    click.echo(f"{uri}: {amount(len(read), 'row')}, {f'{wrong} of them' if wrong else 'none'} wrong")
    return 1 if faults else 0


def _sweep(text: str) -> tuple[str, list[Any]]:
    """A parameter and its values; what nobody knows stays text, for the check."""
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise UsageError(f"--sweep {text}: write NAME=VALUE,VALUE.")
    parts = [part.strip() for part in values.split(",") if part.strip()]
    if name not in FIELDS:
        return name, parts
    if kind_of(FIELDS[name]) is tuple:
        parts = [part.replace("+", ",") for part in parts]
    return name, [parsed(FIELDS[name], part) for part in parts]
