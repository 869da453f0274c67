"""FLAC and Ogg: what a decoder does not say of them, or says in riddles."""

import struct
import zlib

from tasks.audio.checked import Checked, cut_short, damaged, no_sound
from tasks.records.reasons import PairError, Reason

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check_flac(data: bytes) -> Checked:
    if len(data) < 42 or data[4] & 0x7F != 0:
        raise cut_short("it ends in its header")
    if int.from_bytes(data[18:26], "big") & (2**36 - 1):
        return Checked(data)
    if len(data) <= _flac_start(data):
        raise no_sound("0 frames")
    raise PairError(
        Reason.INPUT_UNSUPPORTED,
        "is a FLAC of unknown length, as programs write it that stream; encode it again to a file, "
        "for example with `flac -d` and `flac`",
    )


def _flac_start(data: bytes) -> int:
    """Where the frames begin, behind the blocks of the header."""
    last, position = False, 4
    while not last and position + 4 <= len(data):
        last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    return position


def is_ogg(data: bytes) -> bool:
    """Whether an Ogg stream of a codec that is read begins here."""
    return data[:4] == b"OggS" and (len(data) < 64 or b"\x01vorbis" in data[28:64] or b"OpusHead" in data[28:64])


def check_ogg(data: bytes) -> Checked:
    """Every page (RFC 3533) must be whole and follow the one before it, and the last of the stream must say so."""
    position, flags, pages, streams = 0, 0, 0, 0
    following: dict[bytes, int] = {}  # number of the next page, by stream
    while data[position : position + 4] == b"OggS":
        segments = data[position + 26] if position + 27 <= len(data) else 0
        lacing = data[position + 27 : position + 27 + segments]
        end = position + 27 + segments + sum(lacing)
        if (
            position + 27 > len(data)
            or len(lacing) < segments
            or (end > len(data) and data.find(b"OggS", position + 4) < 0)
        ):
            raise cut_short("the last page of its Ogg stream is not whole")
        pages += 1
        if end > len(data) or struct.unpack_from("<I", data, position + 22)[0] != _ogg_checksum(data[position:end]):
            raise damaged(f"page {pages:,} of its Ogg stream is broken")
        flags, (stream, number) = data[position + 5], struct.unpack_from("<4sI", data, position + 14)
        if number != following.pop(stream, number):  # the decoder of Opus gives what lay in memory in its place
            raise damaged(f"a page before page {pages:,} of its Ogg stream is missing")
        if not flags & 4:
            following[stream] = (number + 1) % 2**32
        streams += flags >> 1 & 1
        position = end
    if data.find(b"OggS", position) >= 0:
        raise damaged(f"page {pages + 1:,} of its Ogg stream is broken")
    if not flags & 4:
        raise cut_short("the end of its Ogg stream is missing")
    return Checked(data, (f"holds {streams} streams, of which the first was read",) if streams > 1 else ())


def _ogg_checksum(page: bytes) -> int:
    """The CRC of a page: that of zlib with all bits the other way round, and without its complements."""
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)
