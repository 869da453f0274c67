"""Phase reconstruction under test: wanted magnitudes, and what comes of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.transfer.phase import reconstruct, spectral_convergence_db
from tasks.transfer.spectrogram import Inverse, frames_of, hann, mask, stft


def finish(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@dataclass(frozen=True)
class Wanted:
    """Magnitudes (batch, frames, bins) of signals of these lengths; `spectra` is where they come from."""

    magnitude: Tensor
    spectra: Tensor
    lengths: Tensor
    n_fft: int
    hop: int

    @classmethod
    def of(cls, signals, n_fft=2048, hop=512, frames=None, dtype=torch.float32):
        counts = torch.tensor([frames_of(len(s), hop) for s in signals])
        frames = frames or int(counts.max())
        padded = torch.stack([torch.nn.functional.pad(s, (0, frames * hop - len(s))) for s in signals]).to(dtype)
        spectra = stft(padded, n_fft, hop, frames) * mask(counts, frames, dtype)[..., None]
        return cls(spectra.abs(), spectra, torch.tensor([len(s) for s in signals]), n_fft, hop)

    def mixed(self):
        """Half of each and half of the one before it: magnitudes that no signal has."""
        return Wanted(
            (self.magnitude + self.magnitude.roll(1, 0)) / 2, self.spectra, self.lengths, self.n_fft, self.hop
        )

    @property
    def frame_mask(self):
        return mask(self.lengths // self.hop + 1, self.magnitude.shape[1], self.magnitude.dtype)

    @property
    def inverse(self):
        samples = self.magnitude.shape[1] * self.hop
        return Inverse(self.n_fft, self.hop, self.frame_mask, mask(self.lengths, samples, self.magnitude.dtype))

    def signal(self, start, iterations=32, method="raar"):
        with torch.no_grad():
            work = reconstruct(self.magnitude, start, self.inverse, self.n_fft, self.hop, iterations, method)
            return finish(work)

    def db(self, signal):
        """Spectral convergence of each item, dB."""
        return spectral_convergence_db(self.magnitude, signal, self.n_fft, self.hop, self.frame_mask)

    def zero_phase(self):
        return torch.zeros_like(self.magnitude) + 0j


def torchaudio_db(signals, n_fft, hop, mixed=False, random=True, iterations=32, momentum=0.99):
    """Spectral convergence of torchaudio's method, dB, judged as it sees a signal: reflected at its ends."""
    import torchaudio

    window = hann(n_fft, torch.float32, torch.device("cpu"))

    def seen(signal):
        return torch.stft(signal, n_fft, hop, window=window, return_complex=True).abs()

    magnitude = seen(signals)
    if mixed:
        magnitude = (magnitude + magnitude.roll(1, 0)) / 2
    torch.manual_seed(0)
    signal = torchaudio.functional.griffinlim(
        magnitude, window, n_fft, hop, n_fft, 1.0, iterations, momentum, None, random
    )
    error = (seen(signal) - magnitude).flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)
    return 20 * torch.log10(error)
