"""The one layer of retries, and answers that were lost."""

import errno

import pytest

from tasks.store import MAX_REQUESTS, AlreadyExists, LocalStore, join, open_store, with_retries


@pytest.fixture
def uri(store_root):
    return join(store_root, "results", "shard-00001.parquet")


def failing(times, error):
    calls = []

    def operation():
        calls.append(None)
        if len(calls) <= times:
            raise error
        return len(calls)

    return operation, calls


def test_a_passing_fault_is_repeated_with_growing_pauses():
    operation, _ = failing(4, OSError(errno.ESTALE, "stale"))
    pauses = []
    assert with_retries(operation, lambda error: True, pauses.append) == 5
    assert len(pauses) == 4
    assert all(0 <= pause <= 0.3 * 4**number for number, pause in enumerate(pauses))


def test_a_lasting_fault_costs_six_requests():
    operation, calls = failing(99, OSError(errno.ESTALE, "stale"))
    with pytest.raises(OSError, match="stale"):
        with_retries(operation, lambda error: True, lambda pause: None)
    assert len(calls) == MAX_REQUESTS == 6


def test_a_fault_that_stays_is_not_repeated():
    operation, calls = failing(99, PermissionError("no"))
    with pytest.raises(PermissionError):
        with_retries(operation, lambda error: False, lambda pause: None)
    assert len(calls) == 1


class Forgetful(LocalStore):
    """A store whose first answer to a creation is lost, after it was carried out, or before."""

    def __init__(self, carried_out):
        self.carried_out, self.forgotten = carried_out, False

    def _create(self, uri, data):
        if not self.forgotten:
            self.forgotten = True
            if self.carried_out:
                super()._create(uri, data)
            raise OSError(errno.ETIMEDOUT, "timed out")
        super()._create(uri, data)


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_lost_answer_to_a_creation_is_no_fault(uri, carried_out):
    store = Forgetful(carried_out)
    store.create(uri, b"one")
    assert store.read(uri).data == b"one"


def test_a_lost_answer_does_not_claim_what_somebody_else_created(uri):
    open_store(uri).create(uri, b"theirs")
    with pytest.raises(AlreadyExists):
        Forgetful(carried_out=False).create(uri, b"ours")
