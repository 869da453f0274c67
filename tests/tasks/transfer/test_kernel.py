import pytest
import torch

from tasks.transfer.features import Reference
from tasks.transfer.features.conv import ConvLosses, features, gram_distance
from tasks.transfer.features.kernel import KernelLosses, arc_cosine
from tasks.transfer.spectrogram import mask


def reference(dtype=torch.float64, frames=14, style_frames=17, bins=5):
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(2, n, bins, generator=generator, dtype=dtype) for n in (frames, style_frames))
    own, others = torch.tensor([frames, frames - 2]), torch.tensor([style_frames - 2, style_frames])
    return Reference(
        content * mask(own, frames, dtype)[..., None], style * mask(others, style_frames, dtype)[..., None], own, others
    )


@pytest.mark.parametrize("widths", [(1,), (2,), (11,), (2, 8), (3, 5, 11)])
def test_the_closed_gradient_is_the_gradient(settings, widths):
    losses = KernelLosses.of(reference(), settings(widths=widths))
    x = torch.rand(2, 14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(losses, (x,))


def test_the_gradient_is_finite_where_patches_are_equal_parallel_or_silent(settings):
    given = reference(torch.float32)
    given.style[:, :4] = 0
    x = given.content.clone()
    x[:, 3:6] = 0
    x[:, 7] = 2 * x[:, 8]
    x.requires_grad_()
    content, style = KernelLosses.of(given, settings(widths=(1, 2)))(x)
    (gradient,) = torch.autograd.grad((content + style).sum(), x)
    assert torch.isfinite(gradient).all()


def test_the_kernel_is_what_a_large_bank_of_filters_averages_to(settings):
    given = reference(torch.float32)
    x = torch.rand(2, 14, 5, generator=torch.Generator().manual_seed(1))
    exact = torch.stack(KernelLosses.of(given, settings(widths=(3,)))(x))
    drawn = torch.stack(ConvLosses.of(given, settings(features="conv", widths=(3,), filters=100_000), 0)(x))
    # The relative error of a mean over N filters falls as 1 / sqrt(N): 0.3 % here, times three.
    torch.testing.assert_close(drawn, exact, rtol=0.01, atol=0)


def test_the_loss_of_the_reference_itself_is_nothing(settings):
    given = reference()
    same = Reference(given.content, given.content, given.content_frames, given.content_frames)
    for value in KernelLosses.of(same, settings(widths=(2, 8)))(given.content):
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)  # float64 rounding of a sum to 1


def test_what_lies_beyond_an_items_frames_changes_nothing(settings):
    given, x = reference(), torch.rand(2, 14, 5, dtype=torch.float64)
    losses = KernelLosses.of(given, settings(widths=(2, 8)))
    other = x.clone()
    other[1, 12:] = 100.0
    assert torch.equal(torch.stack(losses(x)), torch.stack(losses(other)))


def test_silence_has_no_kernel_with_anything():
    found = arc_cosine(torch.zeros(1, 2, 2), torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
    assert found.values[0, 0].tolist() == [0, 0]
    assert found.values[0, 1, 0] == 0


def test_the_gradient_of_the_explicit_bank_is_the_gradient(settings):
    losses = ConvLosses.of(reference(), settings(features="conv", widths=(3,), filters=7), 0)
    x = torch.rand(2, 14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(losses, (x,))


@pytest.mark.parametrize("filters", [4, 64])
def test_the_distance_of_gram_matrices_is_that_of_gram_matrices_that_are_formed(filters):
    generator = torch.Generator().manual_seed(0)
    f, s = (torch.rand(1, n, filters, generator=generator, dtype=torch.float64) for n in (12, 15))
    distance, size = gram_distance(f, s, torch.tensor([12]), torch.tensor([15]))
    own, other = f[0].T @ f[0] / 12, s[0].T @ s[0] / 15
    torch.testing.assert_close(distance[0], (own - other).square().sum())
    torch.testing.assert_close(size[0], other.square().sum())


def test_a_pattern_moved_in_frequency_is_another_sound_to_the_features(settings):
    # Why no filter slides along the frequencies: a picture's pattern may move, a tone may not.
    x = torch.zeros(1, 14, 40)
    x[:, :, 5:8] = 1.0
    frames = torch.tensor([14])
    moved = Reference(x, x.roll(10, dims=-1), frames, frames)
    same = Reference(x, x.roll(5, dims=1), frames, frames)
    losses = [float(KernelLosses.of(r, settings(widths=(2,)))(x)[1]) for r in (moved, same)]
    assert losses[0] > 0.5
    assert losses[1] < 1e-6  # moved in time, a texture is the same: float32 rounding of a sum to 1


def test_features_of_padding_are_nothing():
    weights = torch.randn(4, 5, 3)
    assert features(torch.rand(1, 10, 5), weights, torch.tensor([6]))[0, 4:].abs().max() == 0
