import pickle

from tasks.records.reasons import POLICIES, PairError, Reason, UsageError, remedy, remedy_before_a_run


def test_every_reason_has_a_policy_and_a_remedy():
    assert set(POLICIES) == set(Reason)
    for reason in Reason:
        text = remedy(reason, "RUN")
        assert text
        assert "{" not in text


def test_an_error_of_a_pair_crosses_process_borders():
    error = pickle.loads(pickle.dumps(PairError(Reason.DECODE_ERROR, "why")))
    assert (error.reason, error.message) == (Reason.DECODE_ERROR, "why")


def test_what_a_message_quotes_does_nothing_to_a_terminal():
    error = UsageError("column 'a\x1b[31m\u202e' is wrong:\nuse ä")
    assert str(error) == r"column 'a\x1b[31m\u202e' is wrong:" "\nuse ä"


def test_before_there_is_a_run_no_remedy_speaks_of_one():
    for reason in Reason:
        text = remedy_before_a_run(reason)
        assert text
        assert "rerun" not in text
