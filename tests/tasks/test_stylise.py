"""What happens to a shard in its worker, called as plain functions."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from tasks import attempts, look_up, single, stylise
from tasks.audio import Tag, decode, read_tag
from tasks.clips import synthesise
from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.records.reasons import PairError, Reason
from tasks.records.run import Options, RunRecord
from tasks.roots import Roots
from tasks.store import LocalStore, open_store
from tasks.stylise import batch, inputs
from tasks.stylise.inputs import settings_of
from tasks.transfer import quality
from tasks.transfer.judge import relative_losses
from tasks.transfer.pipeline import Outcome
from tasks.withdraw import bury, find
from tests.flows.conftest import QUICK

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool():
    pool = DecodePool(1)
    yield pool
    pool.close()


@pytest.fixture
def folder(tmp_path):
    for name, kind, seconds in (("a", "pluck", 1.0), ("b", "flute", 1.01), ("s", "drums", 1.0)):
        soundfile.write(tmp_path / f"{name}.wav", synthesise(kind, seconds, 8_000), 8_000)
    return tmp_path


def pair(folder, row, content="a", **params):
    inputs = tuple(Input(role, f"file://{folder}/{name}.wav") for role, name in (("content", content), ("style", "s")))
    return Pair(row, f"p{row}", inputs, "optimise", checked(QUICK | params))


@pytest.fixture
def stylist(folder, store_root, pool):
    from datetime import UTC, datetime

    def _stylist(lookup=lambda keys: {}, stopping=lambda: False, **options):
        run = RunRecord(
            run_id="r", root_run_id="r", night="2026-01-01", created_at=datetime.now(UTC), manifest_uri="m",
            manifest_sha256="m", pairs=1, skipped=0, shards=1, parameters=checked(QUICK), options=Options(**options),
            allowed=Roots.resolve([f"file://{folder}"]).uris, code_version="1", host="h",
        )  # fmt: skip
        emitted = []
        made = stylise.Stylist(
            open_store(store_root),
            Layout(store_root),
            run,
            CPU,
            pool,
            lookup,
            emitted.append,
            lambda *_: None,
            stopping,
        )
        return made, emitted

    return _stylist


def by_row(emitted):
    return {a.manifest_row: a.values for a in sorted(emitted, key=lambda a: a.manifest_row)}


def test_every_pair_ends_in_one_attempt_with_its_audio_stored(stylist, folder, store_root):
    made, emitted = stylist()
    made.stylise([pair(folder, 0), pair(folder, 1, "b"), pair(folder, 2, "nothing")])
    values = by_row(emitted)
    assert [v["status"] for v in values.values()] == ["ok", "ok", "failed"]
    assert values[2]["reason"] == "input_missing"
    assert "content" in values[2]["message"]
    for row in (0, 1):
        blob = open_store(store_root).read(values[row]["audio_uri"])
        assert blob.sha256 == values[row]["audio_sha256"]
        assert blob.sha256[:12] in values[row]["audio_uri"]
        assert read_tag(blob.data) == Tag(values[row]["pair_key"], made.run.run_id)
        sound = decode(blob.data, sample_rate=None, max_seconds=60).samples
        assert values[row]["samples_sha256"] == hashlib.sha256(sound.tobytes()).hexdigest()


@pytest.mark.parametrize("by", ["uri", "sha256"])
def test_a_pair_with_an_input_that_was_withdrawn_since_it_was_planned_is_not_made(stylist, folder, store_root, by):
    store, layout = open_store(store_root), Layout(store_root)
    uri = f"file://{folder}/b.wav"
    bury(store, layout, find(store, layout, uri if by == "uri" else open_store(uri).read(uri).sha256))
    made, emitted = stylist()
    made.stylise([pair(folder, 0), pair(folder, 1, "b")])
    good, refused = by_row(emitted).values()
    assert good["status"] == "ok"
    assert (refused["status"], refused["reason"]) == ("failed", "input_forbidden")
    assert "b.wav' was withdrawn on" in refused["message"]
    assert refused["pair_key"], "its inputs were read"
    assert [uri for uri, _ in store.list(layout.all_audio())] == [good["audio_uri"]]


WIDE = {"features": "conv", "widths": [256], "filters": 16_384, "n_fft": 0, "hop_length": 0}


def test_a_bank_that_only_the_contents_rate_makes_too_large_fails_its_pair_alone(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0), pair(folder, 1, **WIDE)])
    values = by_row(emitted)
    assert [values[row]["status"] for row in (0, 1)] == ["ok", "failed"]
    assert values[1]["reason"] == "params_invalid"
    assert "with an n_fft of 1,024; at most 2,000 MB: lower filters, widths or n_fft" in values[1]["message"]
    with pytest.raises(PairError, match="lower filters") as caught:
        single.restyle_files(
            [Input("content", f"{folder}/a.wav"), Input("style", f"{folder}/s.wav")],
            checked(QUICK | WIDE),
            "cpu",
            print,
        )
    assert caught.value.reason is Reason.PARAMS_INVALID


def test_the_written_audio_is_as_long_and_as_loud_as_the_content(stylist, folder):
    content, _ = soundfile.read(folder / "a.wav", dtype="float32")
    content *= 0.1  # so that no peak stands in the way of its loudness
    soundfile.write(folder / "quiet.wav", content, 8_000, subtype="FLOAT")
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "quiet")])
    values = by_row(emitted)[0]
    written, rate = soundfile.read(values["audio_uri"].removeprefix("file://"), dtype="float32")
    assert (len(written), rate) == (len(content), 8_000)
    lufs = quality.loudness_lufs(torch.from_numpy(content), 8_000)
    assert abs(values["loudness_lufs"] - lufs) < 0.1  # 24 bits, and the meter's own gate


def test_the_true_peak_is_guarded_at_the_cost_of_loudness(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, peak_limit_dbtp=-20.0, limiter_db=0.0), pair(folder, 1, peak_limit_dbtp=-20.0)])
    plain, limited = (by_row(emitted)[row] for row in (0, 1))
    assert plain["peak_dbtp"] == pytest.approx(-20.0, abs=0.05)
    assert limited["peak_dbtp"] == pytest.approx(-20.0, abs=0.15)  # the limiter's gain has a slope
    assert plain["loudness_lufs"] < -20
    assert plain["loudness_lufs"] + 2 < limited["loudness_lufs"] < plain["loudness_lufs"] + 6


def test_the_losses_are_those_of_the_written_file(stylist, folder):
    made, emitted = stylist()
    one = pair(folder, 0)
    made.stylise([one])
    values = by_row(emitted)[0]
    written, _ = soundfile.read(values["audio_uri"].removeprefix("file://"), dtype="float32")
    level = torch.from_numpy(written) * 10 ** (-values["gain_db"] / 20)
    loaded = stylise.load(one, Roots((f"file://{folder}",)), made.pool)
    [piece] = stylise.Track(loaded).pieces
    again = relative_losses(level, piece.item, loaded.settings)
    assert again == pytest.approx((values["content_loss"], values["style_loss"]), rel=1e-5)  # float32, one rounding


def test_a_quiet_copy_of_an_input_gives_the_same_sound_at_its_own_level(stylist, folder):
    content, _ = soundfile.read(folder / "a.wav", dtype="float32")
    soundfile.write(folder / "quiet.wav", 0.01 * content, 8_000, subtype="FLOAT")
    soundfile.write(folder / "loud.wav", 0.1 * content, 8_000, subtype="FLOAT")
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "loud"), pair(folder, 1, "quiet")])
    values = by_row(emitted)
    assert values[1]["loudness_lufs"] == pytest.approx(values[0]["loudness_lufs"] - 20, abs=0.2)
    assert values[1]["style_loss"] == pytest.approx(values[0]["style_loss"], rel=0.05)  # float32 rounding, optimised


def test_a_pair_whose_key_is_done_is_served_and_not_computed(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0)])
    row = dict.fromkeys(attempts.COPIED) | by_row(emitted)[0]
    row |= {"run_id": "old", "manifest_row": 0, "served_by": None}
    served, again = stylist(lookup=lambda keys: {key: row for key in keys if key == row["pair_key"]})
    served.stylise([pair(folder, 0), pair(folder, 1, seed=3)])
    values = by_row(again)
    assert values[0]["served_by"] == "old/0"
    assert values[0]["audio_uri"] == row["audio_uri"]
    assert values[0]["style_loss"] == row["style_loss"]
    assert values[1].get("served_by") is None
    forced, computed = stylist(lookup=lambda keys: dict.fromkeys(keys, row), force=True)
    forced.stylise([pair(folder, 0)])
    assert "served_by" not in by_row(computed)[0]


def test_an_input_replaced_since_planning_is_input_changed(stylist, folder):
    one = pair(folder, 0)
    stale = replace(one, inputs=(replace(one.inputs[0], etag="1-1"), one.inputs[1]))
    made, emitted = stylist()
    made.stylise([stale])
    assert by_row(emitted)[0]["reason"] == "input_changed"


def test_too_long_an_input_fails_clearly(stylist, folder):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, max_seconds=0.5)])
    values = by_row(emitted)[0]
    assert values["reason"] == "input_too_long"
    assert "max_seconds" in values["message"]


def test_asked_to_stop_it_stops_between_evaluations_and_what_was_emitted_stays(stylist, folder):
    asked = iter([False] * 6 + [True] * 100)
    made, emitted = stylist(stopping=lambda: next(asked))
    with pytest.raises(stylise.Stopped):
        made.stylise([pair(folder, 0, "nothing"), pair(folder, 1)])
    assert [a.manifest_row for a in emitted] == [0]


@pytest.fixture
def loaded(folder, store_root, pool):
    roots = Roots.resolve([f"file://{folder}"])
    return [stylise.load(pair(folder, n), roots, pool) for n in range(8)]


@pytest.fixture
def pieces(loaded):
    return [piece for one in loaded for piece in stylise.Track(one).pieces]


def test_out_of_memory_halves_the_batch_and_goes_on(pieces, monkeypatch):
    sizes = []
    real = batch._drain

    def tight(some, device, on_step):
        sizes.append(len(some))
        if len(some) > 3:
            raise torch.OutOfMemoryError("tried to allocate")
        return real(some, device, on_step)

    monkeypatch.setattr(batch, "_drain", tight)
    found = stylise.transfer_batch(pieces, CPU, lambda step: None)
    assert all(isinstance(outcome, Outcome) for outcome in found)
    assert sizes == [8, 4, 2, 2, 2, 2], "what did not fit is not tried again"


def test_a_pair_too_large_alone_and_a_pair_that_raises_fail_alone(pieces, monkeypatch):
    real = batch._drain

    def poisoned(some, device, on_step):
        if any(one.loaded.pair.manifest_row == 2 for one in some):
            raise torch.OutOfMemoryError("tried to allocate")
        if any(one.loaded.pair.manifest_row == 5 for one in some):
            raise KeyError("a mistake")
        return real(some, device, on_step)

    monkeypatch.setattr(batch, "_drain", poisoned)
    found = stylise.transfer_batch(pieces, CPU, lambda step: None)
    assert [isinstance(o, Outcome) for o in found] == [True, True, False, True, True, False, True, True]
    assert found[2].reason == "oom"
    assert "s of audio alone" in found[2].message
    assert isinstance(found[5], KeyError)


def test_batches_hold_pairs_of_one_bucket_and_as_many_as_memory_allows(loaded):
    tracks = [stylise.Track(one) for one in loaded]
    assert [len(b) for b in stylise.batches(tracks, 4_000)] == [8]
    assert all(len(b) == 1 for b in stylise.batches(tracks, 0.001))


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ogg", "mp3"])
def test_every_format_is_written_and_measured(stylist, folder, audio_format):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, audio_format=audio_format)])
    values = by_row(emitted)[0]
    assert values["status"] == "ok", values.get("message")
    assert values["audio_uri"].endswith(audio_format)
    assert np.isfinite(values["style_loss"])


@pytest.mark.parametrize("role", [0, 1])
def test_what_holds_no_patch_of_the_widest_width_is_too_short(stylist, folder, role):
    soundfile.write(folder / "short.wav", synthesise("pluck", 0.1, 8_000), 8_000)
    made, emitted = stylist()
    one = pair(folder, 0)
    inputs = list(one.inputs)
    inputs[role] = replace(inputs[role], uri=f"file://{folder}/short.wav")
    made.stylise([replace(one, inputs=tuple(inputs))])
    values = by_row(emitted)[0]
    assert values["reason"] == "input_too_short"
    assert "lasts 0.1 s, but these parameters need 0.112" in values["message"]


# --- whole tracks ---------------------------------------------------------------------------------


@pytest.fixture
def stereo(folder):
    """Nineteen seconds with a second of silence in front, left and right apart, at an odd length."""
    left, right = (
        np.concatenate([np.zeros(8_000, np.float32), synthesise(n, 18.01, 8_000)]) for n in ("pluck", "organ")
    )
    soundfile.write(folder / "track.wav", np.stack([left, 0.3 * right + 0.2 * left], 1), 8_000, subtype="FLOAT")
    return left


def test_a_track_longer_than_a_segment_comes_out_whole_in_its_channels_and_to_the_sample(stylist, folder, stereo):
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "track", segment_seconds=4.0, overlap_seconds=0.25)])
    values = by_row(emitted)[0]
    assert values["status"] == "ok", values.get("message")
    assert values["segments"] == 6  # of at most four seconds, with what they share
    written, _ = soundfile.read(values["audio_uri"].removeprefix("file://"), dtype="float32")
    assert written.shape == (len(stereo), 2)
    assert (values["audio_frames"], values["audio_channels"], values["audio_rate"]) == (len(stereo), 2, 8_000)
    # The organ lies to the right, and so does what became of it.
    energy = (written[8_000:] ** 2).sum(0)
    assert energy[0] > 1.5 * energy[1]
    assert values["style_loss"] < 0.5 * values["style_loss_start"]
    stages = emitted[0].curves["stage"]
    assert stages == sorted(stages, reverse=True)  # spectrogram, then refine: one mean curve of all segments
    assert len(stages) == QUICK["spectrogram_evaluations"] + QUICK["refine_evaluations"]


def test_a_segment_of_silence_stays_silent(stylist, folder):
    track = np.concatenate([np.zeros(40_000, np.float32), synthesise("pluck", 5.0, 8_000)])
    soundfile.write(folder / "late.wav", track, 8_000, subtype="FLOAT")
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "late", segment_seconds=4.0, overlap_seconds=0.25)])
    values = by_row(emitted)[0]
    written, _ = soundfile.read(values["audio_uri"].removeprefix("file://"), dtype="float32")
    assert np.abs(written[:20_000]).max() == 0
    assert np.abs(written[50_000:]).max() > 0.01
    assert np.isfinite([values["content_loss"], values["style_loss"], values["style_loss_heldout"]]).all()


def test_a_passage_keeps_its_loudness_beside_the_others(stylist, folder):
    quiet, loud = (level * synthesise("pluck", 6.0, 8_000) for level in (0.1, 0.5))
    soundfile.write(folder / "swell.wav", np.concatenate([quiet, loud]), 8_000, subtype="FLOAT")
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "swell", segment_seconds=4.0, overlap_seconds=0.25)])
    written, _ = soundfile.read(by_row(emitted)[0]["audio_uri"].removeprefix("file://"), dtype="float32")
    first, last = (
        quality.loudness_lufs(torch.from_numpy(part), 8_000) for part in (written[:40_000], written[56_000:])
    )
    assert 8 < last - first < 20  # 14 dB in the content


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_no_place_of_a_track_is_made_of_the_ends_of_segments_alone(rate):
    """What lies in fewer patches than the rest, at the end of one segment, is faded into the other's middle."""
    params = checked({})
    settings = settings_of(params, rate)
    patch = max(settings.widths) * settings.hop_length
    assert params.overlap_seconds * rate > 1.2 * patch


def test_the_rate_of_the_content_is_kept_and_the_style_follows(stylist, folder):
    soundfile.write(folder / "fine.wav", synthesise("pluck", 1.0, 48_000), 48_000)
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "fine", sample_rate=0, n_fft=0, hop_length=0)])
    values = by_row(emitted)[0]
    assert (values["status"], values["audio_rate"], values["audio_frames"]) == ("ok", 48_000, 48_000)


def test_what_the_format_cannot_hold_is_said_before_anything_is_computed(stylist, folder):
    soundfile.write(folder / "finer.wav", synthesise("pluck", 1.0, 96_000), 96_000)
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "finer", sample_rate=0, n_fft=0, hop_length=0, audio_format="mp3")])
    values = by_row(emitted)[0]
    assert values["reason"] == "params_invalid"
    assert "48,000 Hz" in values["message"]
    assert "seconds_read" not in values


def test_two_styles_are_read_and_named_with_their_weights(stylist, folder):
    one = pair(folder, 0)
    second = replace(one.inputs[1], uri=f"file://{folder}/b.wav", weight=3.0)
    made, emitted = stylist()
    made.stylise([replace(one, inputs=(*one.inputs, second))])
    values = by_row(emitted)[0]
    assert values["status"] == "ok"
    assert [(i["role"], i["weight"], bool(i["sha256"])) for i in values["inputs"]] == [
        ("content", 1.0, True), ("style", 1.0, True), ("style", 3.0, True),
    ]  # fmt: skip


def test_a_segment_that_fails_fails_its_pair_alone(stylist, folder, stereo, monkeypatch):
    real = batch._drain

    def poisoned(some, device, on_step):
        if any(piece.segment.start > 0 for piece in some):
            raise torch.OutOfMemoryError("tried to allocate")
        return real(some, device, on_step)

    monkeypatch.setattr(batch, "_drain", poisoned)
    made, emitted = stylist()
    made.stylise([pair(folder, 0, "track", segment_seconds=4.0, overlap_seconds=0.25), pair(folder, 1, "b")])
    values = by_row(emitted)
    assert values[0]["reason"] == "oom"
    assert "segment_seconds" in values[0]["message"]
    assert values[1]["status"] == "ok"


class OnABadLine(LocalStore):
    """Hands over the content damaged, so many times: as where nothing tells its checksum."""

    def __init__(self, times):
        self.left = times

    def _read(self, uri, etag, allowed, limit):
        data, found = super()._read(uri, etag, allowed, limit)
        if self.left and uri.endswith(".flac"):
            self.left -= 1
            middle = len(data) // 2 + self.left
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data, found


@pytest.mark.parametrize("times", [1, 2])
def test_an_input_without_a_checksum_that_comes_damaged_is_fetched_once_more(folder, pool, times, monkeypatch):
    soundfile.write(folder / "a.flac", synthesise("pluck", 1.0, 8_000), 8_000)
    content, style = pair(folder, 0).inputs
    given = replace(pair(folder, 0), inputs=(replace(content, uri=f"file://{folder}/a.flac"), style))
    store = OnABadLine(times)
    monkeypatch.setattr(inputs, "open_store", lambda uri: store)
    if times == 1:
        loaded = stylise.load(given, Roots.resolve([f"file://{folder}"]), pool)
        assert loaded.pair.content.sha256 == hashlib.sha256((folder / "a.flac").read_bytes()).hexdigest()
    else:
        with pytest.raises(PairError) as refused:
            stylise.load(given, Roots.resolve([f"file://{folder}"]), pool)
        assert refused.value.reason is Reason.DECODE_ERROR
        assert store.left == 0


def test_a_style_is_read_once_for_all_the_shards_of_a_worker_and_never_in_another_version(folder, stylist, pool):
    def planned(row, content):
        one = pair(folder, row, content)
        etags = [look_up.etag_of(i.uri, Roots.resolve([f"file://{folder}"])) for i in one.inputs]
        return replace(one, inputs=tuple(replace(i, etag=etag) for i, etag in zip(one.inputs, etags, strict=True)))

    read, decode = [], pool.decode
    pool.decode = lambda data, **wanted: read.append(hashlib.sha256(data).hexdigest()) or decode(data, **wanted)
    try:
        shelf = inputs.style_shelf()
        alone = {}
        for turn, fresh in enumerate((False, True)):
            made, emitted = stylist(force=True)
            for row, content in enumerate(("a", "b")):
                made.shelf = inputs.style_shelf() if fresh else shelf
                made.stylise([planned(row, content)])
            rows = by_row(emitted)
            alone[turn] = [rows[row]["samples_sha256"] for row in (0, 1)]
            style = rows[0]["style_sha256"]
            assert read.count(style) == (1, 3)[turn]
        assert alone[0] == alone[1], "from the shelf as from the store"
        soundfile.write(folder / "s.wav", synthesise("flute", 1.0, 8_000), 8_000)
        made, emitted = stylist(force=True)
        made.shelf = shelf
        made.stylise([planned(0, "a")])
        assert by_row(emitted)[0]["style_sha256"] != style
    finally:
        pool.decode = decode


def test_what_lies_on_the_shelf_must_be_allowed_all_the_same(folder, pool):
    one, shelf = pair(folder, 0), inputs.style_shelf()
    one = replace(one, inputs=tuple(replace(i, etag=look_up.etag_of(i.uri, Roots(("file:///",)))) for i in one.inputs))
    inputs.load(one, Roots.resolve([f"file://{folder}"]), pool, shelf=shelf)
    only = Roots.resolve([one.content.uri])
    with pytest.raises(PairError, match=r"style: .* lies outside") as caught:
        inputs.load(one, only, pool, shelf=shelf)
    assert caught.value.reason is Reason.INPUT_FORBIDDEN


@pytest.mark.parametrize("work", ["levelled", "measured"])
def test_what_a_device_cannot_compute_of_a_result_is_computed_by_the_cpu(folder, pool, monkeypatch, work):
    from tasks.stylise import output, track

    whole = track.Track(inputs.load(pair(folder, 0), Roots.resolve([f"file://{folder}"]), pool))
    outcome = track.untouched(whole.pieces[0])
    expected, real = output.write(whole, outcome, "run"), getattr(output, work)

    def full(*given):
        if given[-1].type != "cpu":
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
        return real(*given)

    other = "measured" if work == "levelled" else "levelled"
    there = getattr(output, other)
    monkeypatch.setattr(output, work, full)
    monkeypatch.setattr(output, other, lambda *given: there(*given[:-1], CPU))
    found = output.write(whole, outcome, "run", torch.device("cuda"))
    assert found.data == expected.data
    assert found.values["style_loss"] == expected.values["style_loss"]
