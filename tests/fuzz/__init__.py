"""Inputs that nobody thought of: each module here has what must hold for whatever comes, and inputs to begin with.

hypothesis and the coverage-guided fuzzer (`make fuzz`) ask the same `check`.
"""


def refusal(error, reasons, longest=400):
    """The reason of a PairError, one of `reasons`, with a message that a terminal can be shown."""
    assert error.reason in reasons, error.message
    assert error.message.isprintable()
    assert len(error.message) < longest
    return error.reason.value
