import threading

import pytest

from tasks.stylise.shelf import Shelf


def test_what_was_asked_for_last_stays_within_the_limit():
    made, shelf = [], Shelf(3, lambda one: 1)
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert shelf.get(key, lambda key=key: made.append(key) or key) == key
    assert made == [1, 2, 3, 4, 2]


def test_several_threads_that_ask_for_one_thing_wait_for_one_make():
    made, begun, go = [], threading.Event(), threading.Event()
    shelf = Shelf(10, lambda one: 1)

    def make():
        made.append(1)
        begun.set()
        assert go.wait(30)
        return "made"

    found = []
    threads = [threading.Thread(target=lambda: found.append(shelf.get("key", make))) for _ in range(4)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert (found, made) == (["made"] * 4, [1])


def test_what_could_not_be_made_is_tried_anew():
    shelf = Shelf(10, lambda one: 1)
    with pytest.raises(ZeroDivisionError):
        shelf.get("key", lambda: 1 // 0)
    assert shelf.get("key", lambda: "made") == "made"


def test_what_fails_for_one_thing_fails_for_nobody_else_and_who_waited_for_it_tries_it_himself():
    shelf, begun, go = Shelf(1, lambda one: 1), threading.Event(), threading.Event()

    def fails():
        begun.set()
        assert go.wait(30)
        raise KeyError("gone")

    def failing():
        with pytest.raises(KeyError):
            shelf.get("bad", fails)

    found = []
    first = threading.Thread(target=failing)
    first.start()
    assert begun.wait(30)
    second = threading.Thread(target=lambda: found.append(shelf.get("bad", lambda: "later")))
    second.start()
    go.set()
    for n in range(50):
        assert shelf.get(n, lambda n=n: n) == n
    first.join(30)
    second.join(30)
    assert found == ["later"]
