import math
from dataclasses import replace

import pytest
import torch

from tasks.records.reasons import PairError, Reason
from tasks.training.loop import CLIP, MOST_RESTORES, Budget, estimate, train
from tasks.training.state import State
from tests.tasks.training.problems import Lift, state, trained


def losses(found):
    """Of its records, without what a clock has said."""
    return [replace(record, seconds=0.0) for record in found.records]


def same(a, b):
    return repr(losses(a)) == repr(losses(b)) and all(torch.equal(a.best[name], b.best[name]) for name in a.best)


def test_the_loss_falls_and_every_step_is_recorded():
    found, why, steps = trained(train(Lift(), state(), Budget(200, every=50)))
    assert why == "steps"
    assert [step.record.step for step in steps] == list(range(1, 201)) == [r.step for r in found.records]
    assert found.records[-1].style < 0.1 * found.records[0].style
    assert [r.step for r in found.records if r.validated] == [50, 100, 150, 200]
    assert found.records[0].learning_rate < found.records[60].learning_rate == 1e-2  # warmed up


def test_a_training_that_goes_on_from_a_stored_state_has_the_losses_of_an_unbroken_one(threads):
    budget = Budget(120, every=20)
    whole, _, _ = trained(train(Lift(), state(), budget))
    found, kept = state(), None
    for stop in (33, 58, 101):  # killed there: what was made since the last good state is lost
        _, why, steps = trained(train(Lift(), found, budget), until=stop)
        assert why == "stopped"
        kept = next((step.good for step in reversed(steps) if step.good), kept)
        found = State.from_bytes(kept)
    ended, why, _ = trained(train(Lift(), found, budget))
    assert why == "steps"
    assert same(whole, ended)


def poison(*steps):
    """Makes the losses of some calls not finite."""

    class Poisoned(Lift):
        def total(self, content, style):
            return super().total(content, style) * (math.nan if self.steps - 1 in steps else 1.0)

    return Poisoned()


def test_a_loss_that_is_not_finite_leads_back_to_the_last_good_state_with_a_third_of_the_rate():
    _, _, steps = trained(train(poison(25), state(), Budget(40, every=10)))
    numbers = [step.record.step for step in steps]
    assert numbers == [*range(1, 26), *range(21, 41)]  # 25 steps, back to 20
    assert [step.record.restores for step in steps] == [0] * 25 + [1] * 20
    again = steps[25].record
    assert again.learning_rate == pytest.approx(steps[20].record.learning_rate / 3)


def test_a_restored_training_records_what_led_to_its_result_alone():
    found, _, _ = trained(train(poison(25), state(), Budget(40, every=10)))
    assert [record.step for record in found.records] == list(range(1, 41))


def test_after_three_times_it_fails_and_says_what_to_do():
    work = train(poison(*range(25, 100)), state(), Budget(40, every=10))
    with pytest.raises(PairError, match="learning-rate") as error:
        trained(work)
    assert error.value.reason is Reason.DIVERGED
    assert f"{MOST_RESTORES} times before" in error.value.message


def test_three_faults_are_survived():
    found, why, _ = trained(train(poison(5, 20, 35), state(), Budget(40, every=10)))
    assert (why, found.restores) == ("steps", 3)


def test_a_rate_that_is_far_too_high_is_survived_or_told_and_never_ends_in_weights_that_are_not_finite():
    found = state(learning_rate=1e30)
    with pytest.raises(PairError, match="diverged"):
        trained(train(Lift(), found, Budget(200, every=10)))


def test_a_large_gradient_is_clipped_and_its_norm_is_recorded_as_it_was():
    class Steep(Lift):
        def total(self, content, style):
            return 1e4 * super().total(content, style)

    before = state()
    start = {name: value.clone() for name, value in before.network.state_dict().items()}
    found, _, _ = trained(train(Steep(), before, Budget(1)))
    assert found.records[0].gradient_norm > 100 * CLIP
    gradients = torch.cat([w.grad.flatten() for w in found.network.parameters() if w.grad is not None])
    assert float(gradients.norm()) == pytest.approx(CLIP, rel=1e-3)
    moved = max(float((found.network.state_dict()[name] - value).abs().max()) for name, value in start.items())
    assert moved < 1e-2


def test_over_fitting_ends_early_and_the_best_weights_are_kept():
    seen = []

    def worse_from_the_third_on(loss):
        seen.append(loss)  # the first is of the untrained network
        return loss if len(seen) <= 4 else seen[3] + len(seen)

    found, why, _ = trained(train(Lift(worse_from_the_third_on), state(), Budget(1_000, every=10, patience=4)))
    assert why == "early"
    assert found.step == 10 * (3 + 4)
    assert found.best_step == 30
    until_there, _, _ = trained(train(Lift(), state(), Budget(30, every=10)))
    assert all(torch.equal(found.best[name], until_there.best[name]) for name in found.best)


def test_without_validation_the_last_weights_count_and_nothing_ends_early():
    found, why, _ = trained(train(Lift(lambda loss: None), state(), Budget(60, every=10, patience=1)))
    assert (why, found.best_step) == ("steps", 60)
    assert not any(record.validated for record in found.records)
    assert all(torch.equal(found.best[name], found.mean[name]) for name in found.best)


def test_a_budget_of_seconds_ends_it_also_over_several_processes_and_its_last_step_is_validated():
    found, why, _ = trained(train(Lift(), state(), Budget(10**9, seconds=1e-9, every=1_000)))
    assert (why, found.step) == ("seconds", 1)
    assert found.records[-1].validated
    assert found.best_step == 1
    used = state()
    used.seconds = 100.0
    assert trained(train(Lift(), used, Budget(10**9, seconds=99.0)))[1:] == ("seconds", [])


def test_an_estimate_is_of_steps_that_change_nothing():
    given, problem = state(), Lift()
    before = given.to_bytes()
    found = estimate(problem, given, Budget(100, seconds=10.0, every=10))
    assert given.to_bytes() == before
    assert found.seconds_step > 0
    assert found.seconds_of(100, Budget(100, every=10)) == pytest.approx(
        100 * found.seconds_step + 10 * found.seconds_validation
    )
    assert found.steps_within(Budget(3, seconds=1e9)) == 3
    assert found.steps_within(Budget(10**9, seconds=1e-12)) == 1


def test_states_that_are_much_worse_than_where_it_began_are_not_gone_back_to():
    class Worsening(Lift):
        def total(self, content, style):
            return super().total(content, style) * (1 + 10 * (self.steps > 20))

    _, _, steps = trained(train(Worsening(), state(learning_rate=1e-6), Budget(60, every=10)))
    assert [step.record.step for step in steps if step.good] == [10, 20]


def test_only_what_does_better_than_no_training_is_the_best():
    first = []

    def worse_than_at_first(loss):
        first.append(loss)
        return first[0] + len(first) - 1

    found, why, _ = trained(train(Lift(worse_than_at_first), state(), Budget(100, every=10, patience=2)))
    assert (why, found.best_step, found.step) == ("early", 0, 20)
    assert all(torch.equal(value, state().network.state_dict()[name]) for name, value in found.best.items())


def test_a_network_that_hears_of_its_loss_no_more_counts_as_diverged():
    class Dead(Lift):
        def total(self, content, style):
            return super().total(content, style) * (0.0 if self.steps > 5 else 1.0)

    with pytest.raises(PairError, match="diverged"):
        trained(train(Dead(), state(), Budget(40, every=10)))
