"""What a run would take is what earlier pairs took for a second of audio, on the same device."""

import pandas as pd
import pyarrow as pa
import pytest

from tasks.audio import AudioInfo
from tasks.estimate import Range, estimate, lengths, priced
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.records.reasons import PairError, Reason

HERE, ELSEWHERE = {"device": "cpu x", "threads": 2}, {"device": "cpu x", "threads": 1}


def pair(row=0, seconds=10.0, uri="a.wav", start=None, **params):
    content = Input("content", uri, start=start, seconds=seconds, etag="1")
    own = checked(params)
    return Pair(row, f"p{row}", (content, Input("style", "s.wav", etag="2")), own.method, own)


def past(*of, device=HERE, **params):
    """Attempts that took so many seconds, each over ten seconds of audio."""
    own = checked(params)
    return pd.DataFrame(
        {
            "status": "ok", "served_by": None, "params": own.canonical_json(), "method": own.method,
            "seconds_total": of, "audio_frames": 80_000, "audio_rate": 8_000, "audio_bytes": 1_000,
            "audio_uri": f"x.{own.audio_format}", **device,
        }
    )  # fmt: skip


def told(pairs, rows, curves=0):
    earlier = priced(pa.Table.from_pandas(rows, preserve_index=False)).to_pandas()
    return estimate(pairs, lengths(pairs, lambda uris: {}, 9).of, earlier, HERE, curves)


def test_the_mean_and_the_range_scale_with_the_audio():
    found = told([pair(seconds=5.0), pair(1, seconds=25.0)], past(*range(1, 12)))
    assert found.audio_seconds == 30.0
    assert found.device_seconds == pytest.approx(Range(3 * 2, 3 * 6, 3 * 10)), "of 1 to 11 s the tenths are 2 and 10"
    assert found.audio_bytes == pytest.approx(Range(3_000, 3_000, 3_000))


def test_pairs_go_by_those_with_the_same_costly_parameters_and_else_by_their_method():
    rows = pd.concat([past(10.0), past(100.0, spectrogram_evaluations=500), past(1.0, method="feedforward")])
    cheap = told([pair(seed=7, strength=0.5, content_weight=0.3)], rows)
    assert (cheap.device_seconds.mean, cheap.alike) == (10.0, 1)
    assert told([pair(spectrogram_evaluations=500)], rows).device_seconds.mean == 100.0
    other = told([pair(refine_evaluations=7)], rows)
    assert (other.device_seconds.mean, other.alike) == (55.0, 0)
    assert told([pair(method="feedforward")], rows).device_seconds.mean == 1.0


def test_another_device_and_what_was_served_or_failed_tell_nothing():
    failed, served = past(9.0).assign(status="failed"), past(9.0).assign(served_by="r/0")
    rows = pd.concat([past(2.0), past(9.0, device=ELSEWHERE), failed, served])
    found = told([pair()], rows)
    assert (found.past, found.device_seconds.mean) == (1, 2.0)
    assert told([pair()], past(9.0, device=ELSEWHERE)).device_seconds is None
    assert told([pair()], past(9.0, device=ELSEWHERE)).audio_bytes is not None, "bytes are the same anywhere"


def test_where_one_pair_is_told_by_none_no_total_is():
    found = told([pair(), pair(1, method="feedforward", audio_format="mp3")], past(2.0))
    assert (found.device_seconds, found.audio_bytes) == (None, None)


def test_curves_are_as_many_bytes_for_a_pair_as_they_were():
    assert told([pair(), pair(1)], past(1.0, 1.0, 1.0, 1.0), curves=400).curves_bytes == 200
    assert told([pair()], past()).curves_bytes is None


def test_contents_without_a_slice_are_opened_up_to_a_number_and_the_rest_taken_to_be_as_long():
    pairs = [pair(n, None, f"{n:02d}.wav") for n in range(10)] + [pair(10, 3.0, "slice.wav")]
    asked = []

    def opened(uris):
        asked.extend(uris)
        return {
            uri: AudioInfo(4.0, 8_000, 1, "WAV", "PCM_16", 32_000, 1.0, False) if uri != "00.wav"
            else PairError(Reason.INPUT_SILENT, "is silent") for uri in uris
        }  # fmt: skip

    found = lengths(pairs, opened, 5)
    assert asked == ["00.wav", "02.wav", "04.wav", "06.wav", "08.wav"]
    assert (found.assumed, dict(found.unusable)) == (5, {"00.wav": "is silent"})
    assert [found.of(one) for one in (pairs[2], pairs[3], pairs[10])] == [4.0, 4.0, 3.0]
    assert found.of(pair(11, None, "02.wav", start=1.5)) == 2.5


def test_the_mean_is_over_seconds_of_audio_and_not_over_pairs():
    """Short clips take more for a second: a manifest like the past takes what the past took."""
    short, long = past(*[10.0] * 100).assign(audio_frames=16_000), past(*[200.0] * 100).assign(audio_frames=1_600_000)
    pairs = [pair(n, 2.0) for n in range(100)] + [pair(100 + n, 200.0) for n in range(100)]
    assert told(pairs, pd.concat([short, long])).device_seconds.mean == pytest.approx(21_000)
