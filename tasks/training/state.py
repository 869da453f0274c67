"""Everything that a training goes on with after its process has died, as one safetensors object.

Tensors: the network, its running mean and the best of these means, the optimiser's moments, the curves so far; the
plain numbers are JSON in the header. What is drawn at a step follows from the seed and the step's number, so there is
no state of a random generator to keep.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from tasks.training.header import header_of, text_of
from tasks.transfer.feedforward import Architecture, Network

Weights = dict[str, Tensor]
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """One step: losses of its excerpts, the gradient's norm before clipping, and what was validated after it.

    Losses are relative; nan where nothing was validated. `seconds` are of training so far, over all processes.
    """

    step: int
    seconds: float
    total: float
    content: float
    style: float
    gradient_norm: float
    learning_rate: float
    validation_total: float = float("nan")
    validation_content: float = float("nan")
    validation_style: float = float("nan")
    restores: int = 0

    @property
    def validated(self) -> bool:
        return self.validation_total == self.validation_total


NAMES = tuple(Record.__dataclass_fields__)


@dataclass
class State:
    network: Network
    learning_rate: float
    step: int = 0
    seconds: float = 0.0
    restores: int = 0
    best_total: float = float("inf")
    best_step: int = 0
    worse: int = 0  # validations since the best
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mean: Weights = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.best: Weights = {name: value.clone() for name, value in self.mean.items()}
        self.optimiser = optimiser_of(self.network, self.learning_rate)

    def numbers(self) -> dict[str, Any]:
        names = ("learning_rate", "step", "seconds", "restores", "best_total", "best_step", "worse")
        return {name: getattr(self, name) for name in names}

    def to_bytes(self) -> bytes:
        """The state as it is; what was made of it goes on as this does, bit for bit on a CPU."""
        tensors: Weights = {}
        for group, weights in (("network", self.network.state_dict()), ("mean", self.mean), ("best", self.best)):
            tensors |= {f"{group}.{name}": value for name, value in weights.items()}
        for n, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{n}.{name}": value for name, value in moments.items()}
        rows = [[float(value) for value in asdict(record).values()] for record in self.records]
        tensors["records"] = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(NAMES))
        header = {
            "format": FORMAT,
            "architecture": self.network.architecture.as_dict(),
            "numbers": self.numbers(),
        }
        return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, text_of(header))

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device | None = None) -> "State":
        """Raises ValueError, KeyError or RuntimeError for what `to_bytes` has not written."""
        tensors, header = load(data), header_of(data)
        if header.get("format") != FORMAT:
            raise ValueError(f"format {header.get('format')} and not {FORMAT}")
        network = Network(Architecture(**header["architecture"])).to(device or torch.device("cpu"))
        network.load_state_dict(_group(tensors, "network"))
        state = cls(network, **header["numbers"])
        for name in ("mean", "best"):
            setattr(state, name, {k: v.to(device) for k, v in _group(tensors, name).items()})
        _restore_moments(state.optimiser, _group(tensors, "optimiser"))
        state.records = [_record(row) for row in tensors["records"].tolist()]
        return state


def optimiser_of(network: Network, learning_rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.9, 0.99))


def with_weights(network: Network, weights: Weights) -> Network:
    """A network of the same architecture with other weights."""
    other = Network(network.architecture).to(next(network.parameters()).device)
    other.load_state_dict(weights)
    return other


def _group(tensors: Weights, group: str) -> Weights:
    return {k.removeprefix(f"{group}."): v for k, v in tensors.items() if k.startswith(f"{group}.")}


def _restore_moments(optimiser: torch.optim.Optimizer, moments: Weights) -> None:
    state: dict[int, Weights] = {}
    for name, value in moments.items():
        number, what = name.split(".", 1)
        state.setdefault(int(number), {})[what] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _record(row: list[float]) -> Record:
    values: dict[str, Any] = dict(zip(NAMES, row, strict=True))
    return Record(**values | {name: int(values[name]) for name in ("step", "restores")})
