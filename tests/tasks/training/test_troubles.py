"""What goes wrong when networks are trained, provoked on a small style and small contents."""

import math

import pytest
import torch

from tasks.records.reasons import PairError, Reason
from tasks.training.augment import NOTHING, Augmentation
from tasks.training.corpus import Source
from tasks.training.loop import CLIP, Budget, train
from tasks.training.problem import StyleProblem
from tasks.training.state import State
from tasks.transfer.feedforward import Architecture, Network
from tasks.transfer.feedforward.objective import Objective
from tests.tasks.training.problems import trained
from tests.tasks.transfer.sounds import CPU, clip


def melody(seed, seconds=1.5, rate=8_000):
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(int(seconds * rate)) / rate
    notes = 150 + 1_800 * torch.rand(4, generator=generator)
    return 0.1 * torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in notes]).sum(0)


def sources(*seeds):
    return [Source(f"{seed:064x}", (f"{seed}.wav",), (melody(seed),)) for seed in seeds]


@pytest.fixture
def problem(settings):
    def _problem(training=range(8), validation=(), how=NOTHING):
        objective = Objective.of(clip("drums", 1.5), settings(n_fft=256, hop_length=64), CPU)
        return StyleProblem(objective, sources(*training), sources(*validation), how, 32, 2, 12_000, CPU)

    return _problem


def begun(blocks=2, width=16, learning_rate=3e-3):
    return State(Network(Architecture(129, width, blocks), 0), learning_rate)


def late(found, steps=15):
    return math.exp(sum(math.log(record.total) for record in found.records[-steps:]) / steps)


def test_a_network_of_sixteen_blocks_trains_no_worse_than_one_of_four(problem):
    """As far as it goes without its guards: a plain stack of so many layers stays near where it began."""
    ends = {}
    for blocks in (4, 16):
        found, _, _ = trained(train(problem(), begun(blocks), Budget(60, every=60)))
        assert found.records[0].total == pytest.approx(found.records[0].style, rel=0.05)  # begins at the content
        ends[blocks] = late(found)
    assert ends[4] < 0.4
    assert ends[16] <= 1.05 * ends[4]


def test_a_single_source_is_over_fitted_and_the_network_from_before_that_is_kept(problem):
    one = problem(training=[0], validation=range(20, 25))
    work = train(one, begun(width=64, learning_rate=0.02), Budget(1_000, every=10, patience=5))
    found, why, _ = trained(work)
    assert why == "early"
    validated = [record for record in found.records if record.validated]
    best = min(validated, key=lambda record: record.validation_total)
    assert found.best_step == best.step == found.step - 5 * 10
    assert validated[-1].validation_total > best.validation_total
    assert late(found) < 0.7 * best.validation_total  # it fits what it is shown
    assert best.validation_total == pytest.approx(found.best_total)


def test_many_sources_and_augmentation_leave_less_of_a_gap(problem):
    gaps = {}
    for name, training, how in (("one", [0], NOTHING), ("many", range(12), Augmentation())):
        found, _, _ = trained(train(problem(training, range(20, 25), how), begun(width=32), Budget(120, every=120)))
        gaps[name] = found.records[-1].validation_total / late(found)
    assert gaps["many"] < gaps["one"]


def test_a_rate_that_is_far_too_high_ends_in_a_reason_and_in_no_weights_that_are_not_finite(problem):
    with pytest.raises(PairError) as error:
        trained(train(problem(), begun(learning_rate=1e25), Budget(100, every=10)))
    assert error.value.reason is Reason.DIVERGED


def test_loud_contents_make_steep_gradients_that_are_clipped_and_recorded(problem):
    found, _, _ = trained(train(problem(), begun(learning_rate=0.1), Budget(60, every=60)))
    norms = [record.gradient_norm for record in found.records]
    assert max(norms) > CLIP
    assert all(map(math.isfinite, norms))
    assert late(found) < found.records[0].total


def test_validation_is_never_augmented_and_hears_whole_segments(problem):
    heard = [problem(validation=[20], how=how) for how in (NOTHING, Augmentation())]
    network = begun().network
    plain, augmented = (one.validate(network) for one in heard)
    assert plain == augmented == heard[1].validate(network)
    [kept] = heard[0]._kept
    assert kept.x.shape[1] == 12_000 // 64


def test_without_sources_for_it_nothing_is_validated(problem):
    assert problem().validate(begun().network) is None
    assert problem().untouched() is None
