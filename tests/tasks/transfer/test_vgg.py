import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tasks.transfer.buckets import batch_key, minimum_samples
from tasks.transfer.features import Part, Reference, losses_of
from tasks.transfer.features.vgg import (
    COLUMN,
    CONTENT,
    LAYOUT,
    MEAN,
    SHAPES,
    STD,
    STYLE,
    Network,
    VggLosses,
    columns,
    gram,
    random_weights,
)
from tasks.transfer.item import Checkpoint, Item, Style
from tasks.transfer.judge import relative_losses
from tasks.transfer.spectrogram import mask
from tests.tasks.transfer.sounds import clip, item, outcomes

FRAMES, BINS = 37, 18  # odd, so that every pooling leaves something over


@pytest.fixture(autouse=True)
def drawn():
    """The drawn weights are kept from test to test: they are the larger part of the cost."""
    return random_weights(0)


def sounds(dtype=torch.float32, frames=(FRAMES, FRAMES - 4), size=FRAMES, seed=0):
    """Rows (2, size, bins) of noise that ends after `frames`."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.rand(2, FRAMES, BINS, generator=generator, dtype=dtype) * 4
    rows = nn.functional.pad(rows, (0, 0, 0, size - FRAMES))
    own = torch.tensor(frames)
    return rows * mask(own, size, dtype)[..., None], own


def reference(dtype=torch.float32, size=FRAMES, strength=1.0, **changes):
    content, style = sounds(dtype, size=size), sounds(dtype, size=size, seed=1)
    return Reference(*content, (Part.unbroken(*style),), strength, **changes)


def weights_of_another_network():
    """Weights in the layout of a checkpoint, with biases, as trained ones have."""
    generator = torch.Generator().manual_seed(7)
    return {key: 0.1 * torch.randn(shape, generator=generator) for key, shape in SHAPES.items()}


def plain(weights):
    """VGG-19 as anybody writes it, up to relu5_1, average poolings between the blocks; and where the layers end."""
    modules, ends = [], {}
    for layer in LAYOUT[:13]:
        if layer.name.endswith("_1") and layer.name != "1_1":
            modules.append(nn.AvgPool2d(2))
        convolution = nn.Conv2d(layer.inputs, layer.outputs, 3, padding=1)
        convolution.load_state_dict({"weight": weights[f"{layer.key}.weight"], "bias": weights[f"{layer.key}.bias"]})
        modules += [convolution, nn.ReLU()]
        ends[layer.name] = len(modules)
    return nn.Sequential(*modules), ends


def test_the_layout_is_vgg_19s():
    # Simonyan and Zisserman 2015, table 1, column E; torchvision counts convolutions, rectifiers and poolings.
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    channels = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
    assert [layer.key for layer in LAYOUT] == [f"features.{n}" for n in numbers]
    assert [layer.outputs for layer in LAYOUT] == channels
    assert [layer.inputs for layer in LAYOUT] == [3, *channels[:-1]]
    assert sum(math.prod(shape) for shape in SHAPES.values()) == 20_024_384  # all but the classifier
    assert {*STYLE, CONTENT} <= {layer.name for layer in LAYOUT}


@torch.no_grad()
@pytest.mark.parametrize("trained", [False, True])
def test_the_layers_are_those_of_a_plain_network_on_a_picture_of_the_sound(settings, trained):
    weights = weights_of_another_network() if trained else random_weights(0)
    given = reference(weights=weights if trained else None)
    sequential, ends = plain(weights)
    picture = given.content[:1].mT[:, None].expand(-1, 3, -1, -1)  # the first is as long as the batch: no padding
    if trained:
        # A sine of full scale: a Hann window of 512 sums to 256, half of which is its spectrum's peak.
        white = math.log1p(128 * 22_050 / 8_000)
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        picture = (picture / white - mean) / std
    network = Network.of(given, settings(features="vgg"), 0)
    for name, found, positions in network.layers(given.content, Part.unbroken(*sounds()).run):
        expected = sequential[: ends[name]](picture)
        whole = FRAMES // 2 ** (int(name[0]) - 1)
        torch.testing.assert_close(found[:1], expected, rtol=1e-5, atol=1e-5 * float(expected.max()))  # float32
        assert found.shape[-1] == whole
        assert float(positions[0]) == whole * (BINS // 2 ** (int(name[0]) - 1))


@torch.no_grad()
def test_the_losses_are_those_of_gram_matrices_of_a_plain_network(settings):
    given = reference()
    sequential, ends = plain(random_weights(0))

    def seen(rows, layer):
        return sequential[: ends[layer]](rows.mT[None, None].expand(-1, 3, -1, -1))[0].flatten(1)

    def gram_of(rows, layer):
        found = seen(rows, layer)
        return found @ found.T / found.shape[1]

    x = sounds(seed=2)[0]
    content, style = losses_of(given, settings(features="vgg"), 0)(x)
    for n, frames in enumerate(given.content_frames):
        own, to, like = x[n, :frames], given.content[n, :frames], given.styles[0].rows[n, :frames]
        layers = [(gram_of(own, name), gram_of(like, name)) for name in STYLE]
        wanted = sum((a - b).square().sum() / b.square().sum() for a, b in layers) / len(STYLE)
        assert float(style[n]) == pytest.approx(float(wanted), rel=1e-4)  # float32, summed in another order
        found, wanted = seen(own, CONTENT), seen(to, CONTENT)
        assert float(content[n]) == pytest.approx(
            float((found - wanted).square().sum() / wanted.square().sum()), rel=1e-4
        )


def test_the_gradient_is_the_gradient(settings):
    given = reference(torch.float64, strength=0.4).select(torch.tensor([1]))
    short = replace(given, content=given.content[:, :17, :16], content_frames=torch.tensor([16]))
    losses = VggLosses.of(short, settings(features="vgg"), 0)
    x = sounds(torch.float64, seed=2)[0][:1, :17, :16].requires_grad_()
    # Along drawn directions: one by one, the inputs would take minutes.
    assert torch.autograd.gradcheck(losses, (x,), fast_mode=True)


@torch.no_grad()
def test_a_batch_equals_its_clips_one_by_one(settings, threads):
    given, x = reference(), sounds(seed=2)[0]
    losses = losses_of(given, settings(features="vgg"), 0)
    together = torch.stack(losses(x))
    for n in (0, 1):
        one = torch.tensor([n])
        alone = losses_of(given.select(one), settings(features="vgg"), 0)(x[one])
        assert torch.equal(torch.stack(alone), together[:, one])
        assert torch.equal(torch.stack(losses.select(one)(x[one])), together[:, one])


@torch.no_grad()
@pytest.mark.parametrize("trained", [False, True])
def test_padding_changes_nothing(settings, trained):
    weights = weights_of_another_network() if trained else None
    results = []
    for size, beyond in ((FRAMES, 0.0), (FRAMES + 11, 3.0)):
        given = reference(size=size, weights=weights)
        x, own = sounds(size=size, seed=2)
        x = x + beyond * (1 - mask(own, size))[..., None]
        results.append(torch.stack(losses_of(given, settings(features="vgg"), 0)(x)))
    # Nothing but rounding: the library may cut a larger picture into other pieces.
    torch.testing.assert_close(*results, rtol=1e-5, atol=0)


@torch.no_grad()
def test_the_target_is_the_blend_of_the_gram_matrices_of_its_parts(settings):
    (first, frames), (second, _) = sounds(seed=1), sounds(seed=3)
    content = sounds()
    parts = (Part.unbroken(first, frames, 0.25), Part.unbroken(second, frames, 0.75))
    losses = VggLosses.of(Reference(*content, parts, 0.4), settings(features="vgg"), 0)
    grams = []
    for rows in (first, second, content[0]):
        layers = losses.network.layers(rows, losses.run)
        grams.append({name: gram(found, positions) for name, found, positions in layers if name != CONTENT})
    for name in STYLE:
        a, b, own = (g[name] for g in grams)
        torch.testing.assert_close(losses.targets[name], 0.4 * (0.25 * a + 0.75 * b) + 0.6 * own, rtol=1e-4, atol=1e-6)


def test_a_position_counts_where_its_column_of_frames_lies_within_a_run():
    run = torch.tensor([[0, 0, 0, 1, 1, 1, 1, -1, -1]])
    assert columns(run, 1).tolist() == [[True] * 7 + [False] * 2]
    assert columns(run, 2).tolist() == [[True, False, True, False]]
    assert columns(run, 4).tolist() == [[False, False]]


@torch.no_grad()
def test_a_style_in_runs_is_nearly_the_style_in_one_piece(settings):
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(1, 128, BINS, generator=generator)
    content = torch.rand(1, 32, BINS, generator=generator), torch.tensor([32])
    grams = []
    for run in (torch.zeros(1, 128), torch.arange(2).repeat_interleave(64)[None]):
        losses = VggLosses.of(Reference(*content, (Part(rows, run.long(), torch.ones(1)),)), settings(), 0)
        grams.append(losses.targets)
    for name in STYLE:
        # The runs follow each other as they did: all but the one column at the border is the same.
        torch.testing.assert_close(grams[0][name], grams[1][name], rtol=1e-5, atol=1e-5)


def test_no_more_than_silence_gives_finite_losses_and_gradients(settings):
    rows, frames = torch.zeros(1, 20, BINS), torch.tensor([20])
    losses = losses_of(Reference(rows, frames, (Part.unbroken(rows, frames),)), settings(features="vgg"), 0)
    x = rows.clone().requires_grad_()
    values = torch.stack(losses(x))
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


def test_drawn_weights_keep_the_power_and_depend_on_the_seed_alone():
    weights = random_weights(0)
    deep = weights["features.25.weight"]
    assert float(deep.var()) * 9 * 512 == pytest.approx(2.0, rel=0.01)
    assert float(weights["features.25.bias"].abs().max()) == 0
    other = random_weights(1)
    assert not torch.equal(other["features.0.weight"], weights["features.0.weight"])
    assert torch.equal(random_weights(0)["features.0.weight"], weights["features.0.weight"])


def test_items_share_a_batch_by_their_checkpoint_or_their_seed(settings):
    wanted, style = settings(features="vgg"), (Style(clip("drums")),)
    file = Checkpoint("a", {})
    drawn, other = Item(clip("pluck"), style, 1), Item(clip("pluck"), style, 2)
    assert batch_key(drawn, wanted) != batch_key(other, wanted)
    assert batch_key(replace(drawn, checkpoint=file), wanted) == batch_key(replace(other, checkpoint=file), wanted)
    assert batch_key(replace(drawn, checkpoint=file), wanted) != batch_key(drawn, wanted)


def test_the_shortest_input_has_a_position_in_every_layer(settings):
    wanted = settings(features="vgg", widths=(2,))
    assert minimum_samples(wanted) // wanted.hop_length + 1 == COLUMN


def test_the_recipe_closes_in_on_the_style_and_is_judged_by_the_weights_it_was_given(settings):
    wanted = settings(features="vgg", n_fft=256, hop_length=64, spectrogram_evaluations=4, refine_evaluations=0)
    given = replace(item("pluck", "drums", 0.2, 0.2), checkpoint=Checkpoint("a", weights_of_another_network()))
    [found] = outcomes([given], wanted)
    assert found.losses_start[0] < 1e-6
    assert found.losses_spectrogram[1] < 0.7 * found.losses_start[1]
    assert relative_losses(given.content, given, wanted)[1] == pytest.approx(found.losses_start[1], rel=1e-3)
    assert relative_losses(given.content, replace(given, checkpoint=None), wanted)[1] != pytest.approx(
        found.losses_start[1], rel=1e-3
    )
