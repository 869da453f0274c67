"""What the footer of a parquet file claims of its size, read without pyarrow.

pyarrow's own look at a chunk (RowGroupMetaData.column) ends the process where C++ finds the footer odd, or encrypted.
This is Thrift's compact protocol, as far as parquet.thrift uses it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_DEPTH = 16
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_WIDTHS = {_TRUE: 1, _FALSE: 1, _BYTE: 1, _DOUBLE: 8, _BINARY: 0}  # bytes; 0: it says so itself

_COLUMN = {5: _I64, 6: _I64}  # num_values, total_uncompressed_size
_GROUP = {1: [{3: _COLUMN}], 3: _I64}  # columns with their meta_data, num_rows
_FILE = {4: [_GROUP]}  # row_groups


class Chunk(NamedTuple):
    """One column of a row group: its values, and the bytes of its pages once they are decompressed."""

    values: int
    size: int


class Group(NamedTuple):
    rows: int
    chunks: list[Chunk]


def row_groups(footer: bytes) -> list[Group]:
    """The row groups that a footer names. Raises ValueError where it is damaged or its columns are encrypted."""
    found = _Thrift(footer).struct(_FILE, 0)
    return [Group(_count(group, 3), [_chunk(one) for one in group.get(1, [])]) for group in found.get(4, [])]


def _chunk(column: Mapping[int, Any]) -> Chunk:
    if 3 not in column:
        raise ValueError("its columns are encrypted or nowhere described")
    return Chunk(_count(column[3], 5), _count(column[3], 6))


def _count(found: Mapping[int, Any], number: int) -> int:
    value = int(found.get(number, -1))
    if value < 0:
        raise ValueError("its footer lacks a size")
    return value


class _Thrift:
    """A cursor. What is wanted is a kind, or a list or a struct of what is wanted; all else is passed over."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, wanted: Mapping[int, Any], depth: int) -> dict[int, Any]:
        if depth > MAX_DEPTH:
            raise ValueError("its footer is too deep")
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 15:
            number = number + (head >> 4) if head >> 4 else self._integer()
            want = wanted.get(number)
            if number in found:
                raise ValueError("its footer says a thing twice")
            if want is not None and _kind(want) == head & 15:
                found[number] = self._value(head & 15, want, depth)
            elif head & 15 > _FALSE:  # a truth is in the head itself
                self._value(head & 15, None, depth)
        return found

    def _value(self, kind: int, want: Any, depth: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._integer()
        if kind == _STRUCT:
            return self.struct(want or {}, depth + 1)
        if kind in (_LIST, _SET):
            return self._list(want[0] if want else None, depth)
        if kind == _MAP:
            return self._map(depth)
        if kind not in _WIDTHS:
            raise ValueError("its footer is damaged")
        return self._skip(_WIDTHS[kind] or self._varint())

    def _list(self, want: Any, depth: int) -> list[Any]:
        head = self._byte()
        size = self._varint() if head >> 4 == 15 else head >> 4
        if want is not None and _kind(want) != head & 15:
            raise ValueError("its footer lists something else")
        return [self._value(head & 15, want, depth + 1) for _ in range(self._held(size))]

    def _map(self, depth: int) -> None:
        size = self._held(self._varint())
        kinds = self._byte() if size else 0
        for _ in range(size):
            self._value(kinds >> 4, None, depth + 1)
            self._value(kinds & 15, None, depth + 1)

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its footer holds a number without an end")

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self._at - 1]

    def _skip(self, size: int) -> None:
        self._at += self._held(size)

    def _held(self, size: int) -> int:
        """The same, where so many bytes are left: each entry of a list takes one at least."""
        if size > len(self._data) - self._at:
            raise ValueError("its footer is cut short")
        return size


def _kind(want: Any) -> int:
    if isinstance(want, dict):
        return _STRUCT
    return _LIST if isinstance(want, list) else int(want)
