import threading

from tasks.stylise.ahead import Ahead


def test_what_is_made_ahead_is_more_than_there_are_threads_and_no_more_than_allowed():
    made, five = [], threading.Event()

    def make(one):
        made.append(one)
        if len(made) == 5:
            five.set()
        return one

    with Ahead(make, range(20), threads=2, ahead=5, limit=1_000, size=lambda one: 1) as ahead:
        assert five.wait(30), "while nobody takes any"
        assert ahead.in_hand == list(range(5))
        found = ahead.take(7)
        assert found[:7] == list(range(7))
        while ahead.left:
            found += ahead.take(1)
    assert found == list(range(20))


def test_nothing_is_begun_while_what_is_at_hand_is_large():
    with Ahead(lambda one: one, range(6), threads=2, ahead=5, limit=3, size=lambda one: 1) as ahead:
        held = ahead.take(6)
        assert held[:3] == [0, 1, 2]
        assert len(held) < 6
        ahead.done(held)
        assert ahead.take(6)
