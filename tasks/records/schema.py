"""The arrow schema of everything that is stored: one explicit schema for every write, and it only grows."""

from typing import Any, NamedTuple

import pyarrow as pa

SCHEMA_VERSION = 1


class Column(NamedTuple):
    name: str
    type: pa.DataType
    doc: str


STYLE = pa.struct([("uri", pa.string()), ("start", pa.float64()), ("seconds", pa.float64()), ("weight", pa.float64())])
INPUT = pa.struct(
    [
        ("role", pa.string()),
        ("uri", pa.string()),
        ("etag", pa.string()),
        ("sha256", pa.string()),
        ("start", pa.float64()),
        ("seconds", pa.float64()),
        ("weight", pa.float64()),
    ]
)
TAGS = pa.map_(pa.string(), pa.string())
UTC = pa.timestamp("us", tz="UTC")

MANIFEST_COLUMNS = (
    Column("pair_id", pa.string(), "your name for the pair: letters, digits, `.`, `_`, `-`; unique; required"),
    Column("content_uri", pa.string(), "the track that keeps its tune; relative ones resolve against the manifest"),
    Column("style_uri", pa.string(), "the track that gives its texture (or `styles`)"),
    Column("content_start", pa.float64(), "start of the slice, seconds"),
    Column("content_seconds", pa.float64(), "length of the slice, seconds"),
    Column("style_start", pa.float64(), "start of the slice, seconds"),
    Column("style_seconds", pa.float64(), "length of the slice, seconds"),
    Column(
        "styles", pa.list_(STYLE), "in place of `style_uri`: uri, start, seconds, weight (their shares of the target)"
    ),
    Column("seed", pa.int64(), "seed of the random draws of this pair"),
    Column("method", pa.string(), "`optimise` (the default), or `feedforward`: the network of the style"),
    Column("params", pa.string(), "a JSON object that overrides single parameters for this pair"),
    Column("tags", TAGS, "carried to the results as they are"),
)

_LOSSES = tuple(
    Column(f"{kind}_loss{suffix}", pa.float64(), f"relative {kind} loss {of}")
    for suffix, of in (
        ("", "of the written audio"),
        ("_start", "of the start"),
        ("_spectrogram", "of the optimised spectrogram, before phase"),
        ("_heldout", "of the written audio on a fresh filter bank that no optimiser saw"),
    )
    for kind in ("content", "style")
)

QUALITY_COLUMNS = (
    *_LOSSES,
    Column("phase_convergence_db", pa.float64(), "spectral convergence of the phase stage, dB; lower is better"),
    Column("chroma_similarity", pa.float64(), "correlation of chroma with the content, -1 to 1"),
    Column("onset_correlation", pa.float64(), "correlation of onset strength with the content, -1 to 1"),
    Column("timbre_distance", pa.float64(), "distance of log-mel statistics to the nearest style; 0 is equal"),
    Column("style_copy", pa.float64(), "largest cross-correlation of a half-second snippet with the style, 0 to 1"),
    Column("loudness_lufs", pa.float64(), "integrated loudness of the written audio, LUFS"),
    Column("content_loudness_lufs", pa.float64(), "the same of the content, as it came"),
    Column("style_loudness_lufs", pa.float64(), "the same of the first style"),
    Column("gain_db", pa.float64(), "gain applied at the end, from working level to written level, dB"),
    Column("peak_dbtp", pa.float64(), "true peak of the written audio, dBTP"),
    Column("silence_share", pa.float64(), "share of the written audio that is silent, 0 to 1"),
)

EFFORT_COLUMNS = (
    Column("segments", pa.int64(), "segments that the track was cut into"),
    Column(
        "evaluations", pa.int64(), "evaluations of the objective, both optimised stages; of several segments the mean"
    ),
    Column("stop_reason", pa.string(), "why the last optimised stage stopped; of several segments the most frequent"),
    Column("seconds_read", pa.float64(), "read and decode the inputs, seconds"),
    Column("seconds_spectrogram", pa.float64(), "the pair's share of the batch's spectrogram stage, seconds"),
    Column("seconds_phase", pa.float64(), "the same of the phase stage, seconds"),
    Column("seconds_refine", pa.float64(), "the same of the refine stage, seconds"),
    Column("seconds_write", pa.float64(), "encode, measure and store, seconds"),
    Column("seconds_total", pa.float64(), "sum of the stages, seconds"),
    Column("peak_device_mb", pa.float64(), "peak device memory of the batch, MB (null on a CPU)"),
)

AUDIO_COLUMNS = (
    Column("audio_uri", pa.string(), "the output"),
    Column("audio_sha256", pa.string(), "digest of the output file"),
    Column("samples_sha256", pa.string(), "digest of its samples as decoded: equal for the same sound of another run"),
    Column("audio_bytes", pa.int64(), "size of the output file, bytes"),
    Column("audio_rate", pa.int64(), "sample rate of the output, Hz"),
    Column("audio_channels", pa.int64(), "channels of the output"),
    Column("audio_frames", pa.int64(), "length of the output, samples for each channel"),
)

RESULTS_COLUMNS = (
    Column("schema_version", pa.int64(), "of this table"),
    Column("run_id", pa.string(), "the run; with `manifest_row` the identity of the attempt"),
    Column("parent_run_id", pa.string(), "the run that this one reruns"),
    Column("manifest_row", pa.int64(), "row in `runs/<run_id>/manifest.parquet`, from 0"),
    Column("pair_id", pa.string(), "the manifest's name for the pair"),
    Column("pair_key", pa.string(), "sha256 of what determines the output; null where inputs were not read"),
    Column("shard", pa.int64(), "shard of the run"),
    Column("tries", pa.int64(), "times the pair was taken in hand in this run"),
    Column("served_by", pa.string(), "`<run_id>/<manifest_row>` of the earlier attempt whose audio serves this one"),
    Column("manifest_uri", pa.string(), "the manifest that was given"),
    Column("manifest_sha256", pa.string(), "its digest when it was read"),
    Column("inputs", pa.list_(INPUT), "role, uri, etag, sha256, start, seconds, weight of every input"),
    Column("content_uri", pa.string(), "first content input"),
    Column("style_uri", pa.string(), "first style input"),
    Column("content_sha256", pa.string(), "digest of the first content input"),
    Column("style_sha256", pa.string(), "digest of the first style input"),
    Column("method", pa.string(), "`optimise` or `feedforward`"),
    Column("params", pa.string(), "the resolved parameters, JSON"),
    Column("params_sha256", pa.string(), "digest of `params`"),
    Column("seed", pa.int64(), "repeats the seed in `params`"),
    Column("model_sha256", pa.string(), "digest of the checkpoint, for methods that use one"),
    Column("algorithm_version", pa.int64(), "part of the pair_key"),
    Column("code_version", pa.string(), "version of Gramophone and, in a checkout, its commit"),
    Column("lock_sha256", pa.string(), "digest of the versions of all installed packages"),
    Column("image_digest", pa.string(), "container image, where GRAMOPHONE_IMAGE_DIGEST names it"),
    Column("torch", pa.string(), "version of torch"),
    Column("cuda", pa.string(), "version of CUDA, on a GPU"),
    Column("host", pa.string(), "host that computed it"),
    Column("device", pa.string(), "model of the device"),
    Column("threads", pa.int64(), "threads of torch on a CPU"),
    Column("prefect_flow_run_id", pa.string(), "flow run in Prefect"),
    Column("prefect_task_run_id", pa.string(), "task run in Prefect"),
    Column("status", pa.string(), "`ok` or `failed`"),
    Column("reason", pa.string(), "why it failed, from the closed list"),
    Column("error_type", pa.string(), "type of the exception"),
    Column("message", pa.string(), "what, where and why, for a person"),
    Column("started_at", UTC, "the pair was taken in hand"),
    Column("finished_at", UTC, "the pair was done"),
    Column("committed_at", UTC, "the shard's results were written"),
    *AUDIO_COLUMNS,
    Column("curves_uri", pa.string(), "file with the loss curves of the shard"),
    *QUALITY_COLUMNS,
    *EFFORT_COLUMNS,
    Column("tags", TAGS, "from the manifest"),
)

_CURVE = pa.list_(pa.float32())
PICTURES = ("picture_content", "picture_style", "picture_result")
CURVES_COLUMNS = (
    Column("schema_version", pa.int64(), "of this table"),
    Column("run_id", pa.string(), "the run"),
    Column("manifest_row", pa.int64(), "the row; joins the results"),
    Column("pair_id", pa.string(), "the manifest's name for the pair"),
    Column(
        "stage",
        pa.list_(pa.string()),
        "stage of each evaluation: spectrogram, refine_late (on frames half a hop late), refine",
    ),
    Column("total", _CURVE, "objective at each evaluation"),
    Column("content", _CURVE, "relative content loss at each evaluation"),
    Column("style", _CURVE, "relative style loss at each evaluation"),
    *(
        Column(name, pa.binary(), f"spectrogram of the {name[8:]}, PNG: octaves upwards, each over its own time")
        for name in PICTURES
    ),
)

TRAINING_COLUMNS = (
    Column("schema_version", pa.int64(), "of this table"),
    Column("run_id", pa.string(), "the training"),
    Column("step", pa.int64(), "step of the training, from 1"),
    Column("seconds", pa.float64(), "of training until then, all processes together"),
    *(
        Column(f"{name}{kind}", pa.float64(), f"{what} {of}")
        for name, of in (
            ("", "of the step's excerpts"),
            ("validation_", "of the sources that are kept for validation; null where a step was not validated"),
        )
        for kind, what in (
            ("total", "what is minimised: the geometric mean of style and weighted content loss"),
            ("content", "mean relative content loss"),
            ("style", "mean relative style loss"),
        )
    ),
    Column("gradient_norm", pa.float64(), "norm of the gradient before it is clipped"),
    Column("learning_rate", pa.float64(), "of the step"),
    Column("restores", pa.int64(), "how often training had gone back to a good state until then"),
)

SKIPPED_COLUMNS = (
    Column("manifest_row", pa.int64(), "row in this run's manifest.parquet"),
    Column("pair_id", pa.string(), "the manifest's name for the pair"),
    Column("served_by", pa.string(), "`<run_id>/<manifest_row>` of the attempt that serves it"),
    Column("pair_key", pa.string(), "of that attempt"),
    Column("audio_uri", pa.string(), "of that attempt"),
)


VOTES_COLUMNS = (
    Column("schema_version", pa.int64(), "of this table"),
    Column("session", pa.string(), "of one listener, from beginning to end"),
    Column("asked_run_id", pa.string(), "the run that was named; votes on different ones are not added up"),
    Column("listener", pa.string(), "the name that was given, null where none was"),
    Column("kind", pa.string(), "`ab` (which of two) or `mushra` (each from 0 to 100)"),
    Column("aspect", pa.string(), "what was judged: `preference`, or nearness to `content` or `style`"),
    Column("trial", pa.int64(), "number of the trial in its session, from 0"),
    Column("letter", pa.string(), "under which the sound was heard"),
    Column("role", pa.string(), "`output`, `reference` (hidden) or `anchor`"),
    Column("condition", pa.string(), "what tells it from the others: its parameters, its run"),
    Column("score", pa.float64(), "ab: 1 preferred, 0 not, 0.5 no difference; mushra: 0 to 100"),
    Column("seconds_heard", pa.float64(), "how long it was listened to, seconds"),
    Column("run_id", pa.string(), "run of the output; joins the results"),
    Column("manifest_row", pa.int64(), "its row; joins the results"),
    Column("pair_id", pa.string(), "the manifest's name for the pair"),
    Column("pair_key", pa.string(), "of the output"),
    Column("audio_uri", pa.string(), "what was heard"),
    Column("audio_sha256", pa.string(), "digest of what was heard"),
    Column("params_sha256", pa.string(), "digest of the output's parameters"),
    Column("content_uri", pa.string(), "first content input"),
    Column("style_uri", pa.string(), "first style input"),
    Column("voted_at", UTC, "the vote was given"),
    Column("code_version", pa.string(), "version of Gramophone and, in a checkout, its commit"),
)


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(c.name, c.type) for c in columns])


MANIFEST = _schema(MANIFEST_COLUMNS)
RESULTS = _schema(RESULTS_COLUMNS)
CURVES = _schema(CURVES_COLUMNS)
SKIPPED = _schema(SKIPPED_COLUMNS)
VOTES = _schema(VOTES_COLUMNS)
TRAINING = _schema(TRAINING_COLUMNS)


def some(whole: pa.Schema, *names: str) -> pa.Schema:
    """These columns of a schema, in this order."""
    return pa.schema([whole.field(name) for name in names])


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of exactly `schema`: a name that it lacks is a mistake of ours, a missing one is null."""
    known = set(schema.names)
    for row in rows:
        if unknown := row.keys() - known:
            raise KeyError(f"not in the schema: {sorted(unknown)}")
    return pa.Table.from_pylist(rows, schema=schema)
