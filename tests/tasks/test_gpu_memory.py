"""A real GPU without room for a batch. `test_poison` has the rest of it, on a device that only says so."""

from contextlib import closing

import pytest
import soundfile
import torch

from tasks import stylise
from tasks.clips import synthesise
from tasks.decoding import DecodePool
from tasks.overrides import checked
from tasks.records.pair import Input, Pair
from tasks.roots import Roots
from tasks.stylise import batch
from tests.flows.conftest import QUICK

PIECES, FIT, RATE, SECONDS = 16, 2, 22_050, 9.0
LARGE = QUICK | {"sample_rate": RATE, "n_fft": 2_048, "hop_length": 256}
"""A fifth of a gigabyte for each piece: much more than the device's allocator rounds to."""


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    for name, kind in (("tune", "pluck"), ("texture", "drums")):
        soundfile.write(folder / f"{name}.wav", synthesise(kind, SECONDS, RATE), RATE)
    inputs = (Input("content", f"file://{folder}/tune.wav"), Input("style", f"file://{folder}/texture.wav"))
    with closing(DecodePool(1)) as pool:
        loaded = [
            stylise.load(Pair(n, f"p{n}", inputs, "optimise", checked(LARGE | {"seed": n})), roots_of(folder), pool)
            for n in range(PIECES)
        ]
    return [stylise.Track(one).pieces[0] for one in loaded]


def roots_of(folder):
    return Roots.resolve([f"file://{folder}"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_without_room_for_the_batch_does_it_in_parts(pieces, monkeypatch):
    gpu, real, sizes = torch.device("cuda", 0), batch.transfer, []

    def counted(items, settings, device):
        sizes.append(len(items))
        return real(items, settings, device)

    torch.cuda.reset_peak_memory_stats(gpu)
    stylise.transfer_batch(pieces[:FIT], gpu, lambda step: None)
    room = 1.1 * torch.cuda.max_memory_reserved(gpu)
    torch.cuda.empty_cache()
    monkeypatch.setattr(batch, "transfer", counted)
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(gpu).total_memory, gpu)
    try:
        found = stylise.transfer_batch(pieces, gpu, lambda step: None)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)
    assert all(bool(torch.isfinite(one.waveform).all()) for one in found)
    print(f"room for {FIT} of {PIECES}: batches of {sizes}, {sum(sizes) / PIECES:.2f} times the batch")
    assert sizes[:2] == [PIECES, PIECES // 2], "the whole did not fit, and half of it was tried"
    assert sum(sizes) <= 3 * PIECES
