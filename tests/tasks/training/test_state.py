import pytest
import torch
from safetensors.torch import load, save

from tasks.training.header import header_of
from tasks.training.loop import Budget, train
from tasks.training.state import State, with_weights
from tests.tasks.training.problems import Lift, state, trained


def test_a_state_comes_back_as_it_was_moments_and_curves_included():
    found, _, _ = trained(train(Lift(), state(blocks=2), Budget(30, every=10)))
    again = State.from_bytes(found.to_bytes())
    assert again.to_bytes() == found.to_bytes()
    assert repr(again.records) == repr(found.records)
    assert again.numbers() == found.numbers()
    ours, theirs = (s.optimiser.state_dict()["state"] for s in (found, again))
    assert all(torch.equal(ours[n][name], theirs[n][name]) for n in ours for name in ours[n])


def test_it_is_a_safetensors_file_with_a_header_of_json():
    data = state().to_bytes()
    assert {name.split(".")[0] for name in load(data)} == {"network", "mean", "best", "records"}
    assert header_of(data)["architecture"] == {"bins": 9, "width": 8, "blocks": 1}


def test_another_file_is_refused():
    with pytest.raises(ValueError, match="format None"):
        State.from_bytes(save({"weight": torch.zeros(1)}))


def test_other_weights_make_another_network_and_leave_the_first():
    first = state().network
    weights = {name: value + 1 for name, value in first.state_dict().items()}
    other = with_weights(first, weights)
    assert not torch.equal(first.encoder.weight, other.encoder.weight)
    assert torch.equal(other.encoder.weight, weights["encoder.weight"])
