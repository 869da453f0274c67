import random

from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from tasks.training.split import HANDFUL, share_of, split

DIGESTS = st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), min_size=1, max_size=120)
SEEDS = st.integers(0, 2**31)


@given_settings(deadline=None)
@given(DIGESTS, SEEDS)
def test_no_source_nor_a_copy_of_it_under_another_name_is_on_both_sides(digests, seed):
    found = split([*digests, *digests[::-1]], seed)  # every file a second time, elsewhere in the corpus
    assert not set(found.training) & set(found.validation)
    assert {*found.training, *found.validation} == set(digests)
    assert len(found.training) + len(found.validation) == len(set(digests))


@given_settings(deadline=None)
@given(DIGESTS, SEEDS)
def test_copies_and_the_order_of_a_corpus_change_nothing(digests, seed):
    copies = [*digests, *digests]
    random.Random(seed).shuffle(copies)
    assert split(copies, seed) == split(digests, seed)


@given_settings(deadline=None)
@given(DIGESTS, SEEDS)
def test_there_is_a_handful_for_validation_or_none_and_a_reason(digests, seed):
    found = split(digests, seed)
    assert found.training
    assert bool(found.refusal) == (len(found.validation) == 0)
    assert len(found.validation) >= HANDFUL or not found.validation


def test_a_hundred_sources_keep_fifteen_and_another_seed_keeps_others():
    digests = [f"{n:064x}" for n in range(100)]
    found = split(digests, 0)
    assert (len(found.training), len(found.validation)) == (85, 15)
    assert set(found.validation) != set(split(digests, 1).validation)


def test_a_refusal_says_why_and_what_would_help():
    found = split([f"{n:064x}" for n in range(14)], 0)
    assert len(found.training) == 14
    assert "of 14 sources, 5 cannot be set aside" in found.refusal
    assert "it takes 15" in found.refusal
    assert split([f"{n:064x}" for n in range(15)], 0).refusal == ""


@given_settings(deadline=None)
@given(DIGESTS, SEEDS)
def test_shares_of_the_training_sources_are_nested(digests, seed):
    training = split(digests, seed).training
    some, half, whole = (share_of(training, share) for share in (0.25, 0.5, 1.0))
    assert set(some) <= set(half) <= set(whole) == set(training)
    assert some
