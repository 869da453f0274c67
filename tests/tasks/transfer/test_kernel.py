import pytest
import torch

from tasks.transfer.features import Part, Reference, losses_of
from tasks.transfer.features.conv import ConvLosses, bank, gram_distance, gram_square
from tasks.transfer.features.kernel import Kernel, KernelLosses, inverses
from tasks.transfer.spectrogram import mask


def reference(dtype=torch.float64, frames=14, style_frames=17, bins=5, parts=1, strength=1.0):
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(2, n, bins, generator=generator, dtype=dtype) for n in (frames, style_frames))
    own, others = torch.tensor([frames, frames - 2]), torch.tensor([style_frames - 2, style_frames])
    rows = style * mask(others, style_frames, dtype)[..., None]
    styles = (Part.unbroken(rows, others),) if parts == 1 else (
        Part.unbroken(rows, others, 0.7), Part.unbroken(rows.flip(1) ** 2, others.flip(0), 0.3)
    )  # fmt: skip
    return Reference(content * mask(own, frames, dtype)[..., None], own, styles, strength)


@pytest.mark.parametrize(("parts", "strength"), [(1, 1.0), (2, 1.0), (2, 0.4)])
@pytest.mark.parametrize("widths", [(1,), (2,), (11,), (2, 8), (3, 5, 11)])
def test_the_closed_gradient_is_the_gradient(settings, widths, parts, strength):
    losses = KernelLosses.of(reference(parts=parts, strength=strength), settings(widths=widths))
    x = torch.rand(2, 14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(losses, (x,))


def test_the_gradient_is_finite_where_patches_are_equal_parallel_or_silent(settings):
    given = reference(torch.float32)
    given.styles[0].rows[:, :4] = 0
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
    same = Reference(given.content, given.content_frames, (Part.unbroken(given.content, given.content_frames),))
    for value in KernelLosses.of(same, settings(widths=(2, 8)))(given.content):
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)  # float64 rounding of a sum to 1


def test_what_lies_beyond_an_items_frames_changes_nothing(settings):
    given, x = reference(), torch.rand(2, 14, 5, dtype=torch.float64)
    losses = KernelLosses.of(given, settings(widths=(2, 8)))
    other = x.clone()
    other[1, 12:] = 100.0
    assert torch.equal(torch.stack(losses(x)), torch.stack(losses(other)))


def test_silence_has_no_kernel_with_anything():
    norms = torch.tensor([[0.0, 1.0]])
    found = Kernel.of(torch.zeros(1, 2, 2), inverses(norms), inverses(norms))
    values = found.value * norms[..., None] * norms[..., None, :]
    assert values[0, 0].tolist() == [0, 0]
    assert values[0, 1, 0] == 0


def test_the_gradient_of_the_explicit_bank_is_the_gradient(settings):
    losses = ConvLosses.of(reference(), settings(features="conv", widths=(3,), filters=7), 0)
    x = torch.rand(2, 14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(losses, (x,))


@pytest.mark.parametrize("filters", [4, 64])
def test_the_distance_of_gram_matrices_is_that_of_gram_matrices_that_are_formed(filters):
    generator = torch.Generator().manual_seed(0)
    f, s = (torch.rand(1, n, filters, generator=generator, dtype=torch.float64) for n in (12, 15))
    own, other = f[0].T @ f[0], s[0].T @ s[0]
    torch.testing.assert_close(gram_distance(f, s)[0], (own - other).square().sum())
    torch.testing.assert_close(gram_square(s)[0], other.square().sum())


def test_a_pattern_moved_in_frequency_is_another_sound_to_the_features(settings):
    # Why no filter slides along the frequencies: a picture's pattern may move, a tone may not.
    x = torch.zeros(1, 14, 40)
    x[:, :, 5:8] = 1.0
    frames = torch.tensor([14])
    moved, same = (
        Reference(x, frames, (Part.unbroken(style, frames),)) for style in (x.roll(10, dims=-1), x.roll(5, dims=1))
    )
    losses = [float(KernelLosses.of(r, settings(widths=(2,)))(x)[1]) for r in (moved, same)]
    assert losses[0] > 0.5
    assert losses[1] < 1e-6  # moved in time, a texture is the same: float32 rounding of a sum to 1


@pytest.mark.parametrize("features", ["kernel", "conv"])
def test_a_blend_is_the_gram_matrix_of_its_parts_by_their_shares(settings, features):
    """By filters that are drawn, formed, blended and compared: what no kernel and no identity has a hand in."""
    given = reference(parts=2, strength=0.4)
    x = torch.rand(2, 14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    count = 64 if features == "conv" else 6_000
    weights = bank(count, 5, 3, 0).double()

    def gram(rows, n):
        f = torch.nn.functional.conv1d(rows[:n].T[None], weights)[0].relu()
        return f @ f.T / f.shape[1]

    wanted = []
    for i in range(2):
        frames = [int((style.run[i] >= 0).sum()) for style in given.styles]
        first, second = (gram(style.rows[i], n) for style, n in zip(given.styles, frames, strict=True))
        styles, own = 0.7 * first + 0.3 * second, int(given.content_frames[i])
        target = 0.4 * styles + 0.6 * gram(given.content[i], own)
        wanted.append((gram(x[i], own) - target).square().sum() / styles.square().sum())
    found = losses_of(given, settings(features=features, widths=(3,), filters=count), 0)(x)[1]
    # Drawn filters are the very ones of conv; of the kernel a sample, with an error of 1 / sqrt(N), 1.3 %, in
    # each of three sums.
    torch.testing.assert_close(found, torch.stack(wanted), rtol=1e-9 if features == "conv" else 0.06, atol=0)


def test_no_patch_lies_across_two_runs_of_a_style():
    run = torch.tensor([[0, 0, 0, 1, 1, -1]])
    part = Part(torch.ones(1, 6, 1), run, torch.ones(1))
    assert part.patches(2).tolist() == [[1, 1, 0, 1, 0]]
    torch.testing.assert_close(part.patch_weights(2).sum(), torch.tensor(1.0))
