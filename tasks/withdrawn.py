"""Which inputs are withdrawn, and which attempts were made from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tasks.layout import Layout
from tasks.lineage.uses import uses
from tasks.records.pair import Input
from tasks.records.reasons import PairError, Reason
from tasks.records.tombstone import Tombstone
from tasks.roots import shown
from tasks.store import Store
from tasks.stored import read_records


@dataclass(frozen=True)
class Withdrawn:
    """All tombstones, to be asked by URI and by digest. `lifted`: those that were undone."""

    by_uri: Mapping[str, Tombstone] = field(default_factory=dict)
    by_digest: Mapping[str, Tombstone] = field(default_factory=dict)
    lifted: tuple[Tombstone, ...] = ()

    @classmethod
    def by(cls, tombstones: Iterable[Tombstone]) -> "Withdrawn":
        found = sorted(tombstones, key=lambda one: one.withdrawn_at, reverse=True)  # the first of its kind stands
        valid = [one for one in found if one.lifted_at is None]
        return cls(
            {one.uri: one for one in valid if one.uri},
            {digest: one for one in valid for digest in one.sha256},
            tuple(one for one in found if one.lifted_at is not None),
        )

    def refusal(self, one: Input) -> PairError | None:
        """Why a pair with this input is not made: input_forbidden; None where it may be."""
        found = self.by_uri.get(one.uri) or self.by_digest.get(one.sha256 or "")
        if found is None:
            return None
        return PairError(Reason.INPUT_FORBIDDEN, f"{one.role} {shown(one.uri)} {found.sentence()}")

    def check(self, inputs: Iterable[Input]) -> None:
        """Raises PairError (input_forbidden) where one of them is withdrawn."""
        for one in inputs:
            if error := self.refusal(one):
                raise error

    @property
    def any(self) -> bool:
        """Whether there is anything to ask about."""
        return bool(self.by_uri or self.by_digest or self.lifted)

    def of(self, rows: pd.DataFrame) -> dict[Any, Tombstone]:
        """The attempts that used something that is withdrawn, or was when that was undone, by their index."""
        if not self.any:
            return {}
        used = uses(rows)
        found: dict[Any, Tombstone] = {}
        for stone in self.lifted:
            then = used[rows.loc[used.index, "committed_at"].lt(stone.lifted_at).to_numpy()]
            found |= dict.fromkeys(
                then.index[then["uri"].eq(stone.uri or "") | then["sha256"].isin(stone.sha256)], stone
            )
        used = used[used["uri"].isin(list(self.by_uri)) | used["sha256"].isin(list(self.by_digest))]
        return found | {
            key: self.by_uri.get(uri) or self.by_digest[digest]
            for key, uri, digest in zip(used.index, used["uri"], used["sha256"], strict=True)
        }


NOTHING = Withdrawn()


def read_withdrawn(store: Store, layout: Layout) -> Withdrawn:
    """Raises OutOfReach where a tombstone is damaged, PairError (storage)."""
    return Withdrawn.by(read_records(store, layout.tombstones(), Tombstone))
