import pickle

from tasks.records.reasons import POLICIES, PairError, Reason, remedy


def test_every_reason_has_a_policy_and_a_remedy():
    assert set(POLICIES) == set(Reason)
    for reason in Reason:
        text = remedy(reason, "RUN")
        assert text
        assert "{" not in text


def test_an_error_of_a_pair_crosses_process_borders():
    error = pickle.loads(pickle.dumps(PairError(Reason.DECODE_ERROR, "why")))
    assert (error.reason, error.message) == (Reason.DECODE_ERROR, "why")
