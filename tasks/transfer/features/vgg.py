"""The picture recipe that started it: the spectrogram as an image, and what VGG-19 sees in it.

Gatys, Ecker and Bethge (2016): style is the Gram matrices of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, content is
relu4_2, of the network of Simonyan and Zisserman (2015, configuration E). The image is (bins, frames), low frequencies
first; a column of a layer behind n poolings stands for 2^n frames.

Differs from Gatys et al.: each layer's distance is relative to the style's own Gram matrix, so that the five weigh the
same whatever their size, and a Gram matrix is divided by its own number of positions, since lengths differ. Poolings
are averages, as Gatys et al. recommend for their looks; what is more, the slope of the loss does not jump where a
maximum changes hands, which is what a line search stumbles over. Differs from `conv` and `kernel`: filters slide along
the frequencies too, so a tone moved up is the same texture to it. It is here to be compared with.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from tasks.transfer.features.reference import Part, Reference
from tasks.transfer.reduce import per_item, products, total
from tasks.transfer.settings import Settings
from tasks.transfer.spectrogram import REFERENCE_RATE

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of each block; a pooling lies between two."""
STYLE = ("1_1", "2_1", "3_1", "4_1", "5_1")
CONTENT = "4_2"
COLUMN = 2 ** (len(BLOCKS) - 1)
"""Frames that the widest column stands for: nothing shorter has a position in every layer."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue that torchvision's weights were trained on, white being 1."""
TINY = 1e-20


@dataclass(frozen=True)
class Convolution:
    """One of 3 x 3, padded by one, and rectified."""

    name: str  # block_number
    key: str  # of its weight and bias, as torchvision names them
    outputs: int
    inputs: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {f"{self.key}.weight": (self.outputs, self.inputs, 3, 3), f"{self.key}.bias": (self.outputs,)}


def _layout() -> Iterator[Convolution]:
    number, inputs = 0, 3
    for block, (outputs, count) in enumerate(BLOCKS, 1):
        for n in range(1, count + 1):
            yield Convolution(f"{block}_{n}", f"features.{number}", outputs, inputs)
            number, inputs = number + 2, outputs  # the convolution, and what rectifies it
        number += 1  # the pooling


LAYOUT = tuple(_layout())
USED = LAYOUT[: [layer.name for layer in LAYOUT].index(STYLE[-1]) + 1]
SHAPES = {key: shape for layer in LAYOUT for key, shape in layer.shapes().items()}
"""What a file of weights holds, by torchvision's names."""


@lru_cache(maxsize=1)
def random_weights(seed: int) -> Mapping[str, Tensor]:
    """Weights that keep the power of what is rectified (He et al. 2015), biases 0; the same for a seed everywhere."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for layer in USED:
        for key, shape in layer.shapes().items():
            std = math.sqrt(2 / (9 * layer.inputs)) if key.endswith("weight") else 0.0
            drawn[key] = torch.randn(shape, generator=generator).mul_(std) if std else torch.zeros(shape)
    return drawn


def columns(run: Tensor, frames: int) -> Tensor:
    """1 for every column of `frames` frames within one run, else 0. Shape: (batch, T) -> (batch, T // frames), bool."""
    count = run.shape[-1] // frames
    first, last = run[:, : count * frames : frames], run[:, frames - 1 : count * frames : frames]
    return (first == last) & (first >= 0)


@dataclass(frozen=True)
class Network:
    """The convolutions that are used, and the log-magnitude that is white to them (None: they know no white)."""

    weights: Mapping[str, Tensor]
    white: float | None

    @classmethod
    def of(cls, reference: Reference, settings: Settings, seed: int) -> "Network":
        given = random_weights(seed) if reference.weights is None else reference.weights
        weights = {key: given[key].to(reference.content) for layer in USED for key in layer.shapes()}
        # A sine of full scale is white, silence black.
        white = math.log1p(settings.n_fft / 4 * REFERENCE_RATE / settings.sample_rate)
        return cls(weights, None if reference.weights is None else white)

    def picture(self, x: Tensor, inside: Tensor) -> Tensor:
        """Shape: x (batch, frames, bins), inside (batch, frames) -> (batch, 3, bins, frames).

        Grey, in three equal channels and not by a first convolution summed over its inputs: each channel has a mean of
        its own, and beyond the edges a trained network expects the mean and not black. Trained weights see black to
        white as 0 to 1, less the mean, over the deviation, as in their training; drawn ones see log-magnitudes as they
        are: they have no biases, so a scale would cancel.
        """
        image = x.mT[:, None].expand(-1, 3, -1, -1)
        if self.white is not None:
            mean, std = (torch.tensor(values).to(x)[:, None, None] for values in (MEAN, STD))
            image = (image / self.white - mean) / std
        return image * inside[:, None, None]

    def layers(self, x: Tensor, run: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name, features (batch, channels, rows, columns) and positions (batch,) of every layer that is compared.

        Columns that lie in no run, or across two, are 0 in every layer: what lies beyond an item's frames is as the
        zeros beyond the picture's edges, and padding changes nothing. Within the picture a position sees beyond its own
        column, at the end of a run into the next one: that is tolerated, a run is many columns long.
        """
        frames, inside = 1, columns(run, 1).to(x.dtype)
        image = self.picture(x, inside)
        for layer in USED:
            if layer.name.endswith("_1") and layer.name != "1_1":
                frames *= 2
                inside = columns(run, frames).to(x.dtype)
                image = avg_pool2d(image, 2).mul_(inside[:, None, None])
            image = _convolved(image, self.weights[f"{layer.key}.weight"], self.weights[f"{layer.key}.bias"])
            image = image.mul_(inside[:, None, None]).relu_()
            if layer.name in (*STYLE, CONTENT):
                yield layer.name, image, inside.sum(-1) * image.shape[-2]


def _convolved(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """On a CPU one by one: how the library cuts a batch among its threads depends on how many it is given."""
    if image.device.type == "cuda" or len(image) == 1:
        return conv2d(image, weight, bias, padding=1)
    return torch.cat([conv2d(one[None], weight, bias, padding=1) for one in image])


def gram(features: Tensor, positions: Tensor) -> Tensor:
    """Mean product of every two channels. Shape: (batch, C, rows, columns), (batch,) -> (batch, C, C)."""
    flat = features.flatten(2)
    return products(flat, flat.mT) / per_item(positions.clamp_min(1), flat)


@dataclass(frozen=True)
class VggLosses:
    """Losses by VGG-19."""

    network: Network
    run: Tensor  # (batch, frames) of the content, as a Part has it
    content: Tensor  # relu4_2 of the content
    targets: Mapping[str, Tensor]  # Gram matrices of the target, (batch, C, C) each
    style_totals: Mapping[str, Tensor]  # (batch,) |Gram matrix of the styles|^2: the unit of each layer's loss

    @classmethod
    @torch.no_grad()
    def of(cls, reference: Reference, settings: Settings, seed: int) -> "VggLosses":
        """`seed` draws the weights where the reference has none."""
        network = Network.of(reference, settings, seed)
        run = Part.unbroken(reference.content, reference.content_frames).run
        content = next(f for name, f, _ in network.layers(reference.content, run) if name == CONTENT)
        targets = _blend(reference.target(), network)
        pure = targets if reference.strength == 1 else _blend(reference.styles, network)
        return cls(network, run, content, targets, {name: total(matrix**2) for name, matrix in pure.items()})

    def select(self, items: Tensor) -> "VggLosses":
        targets, totals = ({name: t[items] for name, t in each.items()} for each in (self.targets, self.style_totals))
        return replace(self, run=self.run[items], content=self.content[items], targets=targets, style_totals=totals)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        content = style = x.new_zeros(len(x), dtype=torch.float64)
        for name, found, positions in self.network.layers(x, self.run):
            if name == CONTENT:
                content = total((found - self.content) ** 2) / total(self.content**2).clamp_min(TINY)
            else:
                distance = total((gram(found, positions) - self.targets[name]) ** 2)
                style = style + distance / self.style_totals[name].clamp_min(TINY) / len(STYLE)
        return content.to(x.dtype), style.to(x.dtype)


def _blend(parts: tuple[Part, ...], network: Network) -> dict[str, Tensor]:
    """The mean of the parts' Gram matrices by their weights, for every layer of the style."""
    blend: dict[str, Tensor] = {}
    for part in parts:
        for name, found, positions in network.layers(part.rows, part.run):
            if name != CONTENT:
                share = gram(found, positions) * per_item(part.weight, found)[..., 0]
                blend[name] = blend[name] + share if name in blend else share
    return blend
