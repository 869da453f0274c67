"""A pair as the planner hands it on, its identity, and what became of it."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any

from tasks.records.parameters import ALGORITHM_VERSION, Parameters, canonical_json, sha256_of
from tasks.records.reasons import PairError, Reason
from tasks.records.words import pair_name


@dataclass(frozen=True)
class Input:
    """One sound that goes into a pair: `start` and `seconds` choose a slice, `weight` is a style's share."""

    role: str  # "content" or "style"
    uri: str
    start: float | None = None
    seconds: float | None = None
    weight: float = 1.0
    etag: str | None = None
    sha256: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("role", "uri", "etag", "sha256", "start", "seconds", "weight")}

    def _part(self) -> dict[str, Any]:
        return {"role": self.role, "start": self.start, "seconds": self.seconds, "weight": self.weight}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one cell of a manifest, and what to do about it."""

    row: int
    column: str
    value: str
    reason: Reason
    why: str
    remedy: str

    def sentence(self) -> str:
        # A URI is in its own sentence already.
        where = self.column if self.value in self.why or self.value == self.column else f"{self.column} = {self.value}"
        return f"{where}: {self.why}; {self.remedy}"


@dataclass(frozen=True)
class Pair:
    """One row of a run's manifest with its parameters resolved. With faults it is an attempt that has failed.

    Like the digests of its inputs, that of the file of trained weights is there once it has been read.
    """

    manifest_row: int
    pair_id: str | None
    inputs: tuple[Input, ...]
    method: str
    params: Parameters | None
    tags: tuple[tuple[str, str], ...] = ()
    faults: tuple[Fault, ...] = field(default=())
    model_sha256: str | None = None

    @property
    def content(self) -> Input | None:
        return next((i for i in self.inputs if i.role == "content"), None)

    @property
    def style(self) -> Input | None:
        return next((i for i in self.inputs if i.role == "style"), None)

    @property
    def name(self) -> str:
        """How people are told of it: the id or, where it has none, the row."""
        return pair_name(self.pair_id, self.manifest_row)

    def error(self) -> PairError | None:
        """The failure that its faults amount to: the first one's reason, all of them in the message."""
        if not self.faults:
            return None
        return PairError(self.faults[0].reason, "; ".join(f.sentence() for f in self.faults))

    def key(self) -> str:
        """pair_key: sha256 of what determines the output. Needs the digest of whatever is read."""
        assert self.params is not None
        assert all(i.sha256 for i in self.inputs)
        params = self.params.model_copy(update={"vgg_weights": "", "vgg_sha256": ""})  # its digest says it all
        return sha256_of(
            canonical_json(
                {
                    "algorithm_version": ALGORITHM_VERSION,
                    "inputs": [{**i._part(), "sha256": i.sha256} for i in self.inputs],
                    "method": self.method,
                    "model_sha256": self.model_sha256,
                    "params": params.model_dump(mode="json", exclude=_told_otherwise(self.method)),
                }
            )
        )

    def plan_key(self) -> bytes | None:
        """What planning compares before any byte is read: URIs and ETags in place of digests (None: not known).

        Of trained weights it knows the digest that they must have, or nothing; of a style's network nothing.
        """
        if self.params is None or self.method == "feedforward" or not all(i.etag for i in self.inputs):
            return None
        model_sha256 = self.model_sha256 or self.params.vgg_sha256 or None
        if self.params.weights_uri and model_sha256 is None:
            return None
        return _plan_key(self.inputs, self.method, model_sha256, self.params, self.params.seed)


def _told_otherwise(method: str) -> set[str]:
    """Parameters that have a place of their own in an identity, and those that a method does not read."""
    unread = {"feedforward_phase_iterations", "feedforward_refine_evaluations"} if method == "optimise" else set()
    return {"method", "network"} | unread


def plan_key_of_row(row: Mapping[str, Any]) -> bytes | None:
    """The plan_key of a results row, to compare with a planned pair's."""
    if row["algorithm_version"] != ALGORITHM_VERSION or not row["params"]:
        return None
    params = _parameters(SEED.sub('"seed":0', row["params"]))
    inputs = [Input(**one) for one in row["inputs"]]
    if row["method"] == "feedforward" or not all(one.etag for one in inputs):
        return None
    return _plan_key(inputs, row["method"], row["model_sha256"], params, row["seed"])


def _plan_key(inputs: Iterable[Input], method: str, model_sha256: str | None, params: Parameters, seed: int) -> bytes:
    read = [(one.role, one.uri, one.etag, one.start, one.seconds, one.weight) for one in inputs]
    told = repr((read, method, model_sha256, _values(params, method), seed))
    return hashlib.blake2b(told.encode(), digest_size=16).digest()


def _values(params: Parameters, method: str) -> str:
    """The parameters as far as a plan_key has no place of its own for them."""
    return _said(_chosen(method)(vars(params)))


@lru_cache(maxsize=4_096)
def _said(values: tuple[Any, ...]) -> str:
    """A million pairs have few of these."""
    return repr(values)


@cache
def _chosen(method: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return itemgetter(*(name for name in Parameters.model_fields if name not in _told_otherwise(method) | {"seed"}))


SEED = re.compile(r'"seed":[0-9]+')


@lru_cache(maxsize=4_096)
def _parameters(text: str) -> Parameters:
    return Parameters.model_validate_json(text)


@dataclass
class Attempt:
    """One try at one pair: columns of its results row, and its loss curves where it has any."""

    manifest_row: int
    values: dict[str, Any]
    curves: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return bool(self.values.get("status") == "ok")
