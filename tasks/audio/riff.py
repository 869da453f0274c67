"""WAV, RF64 and AIFF: chunks with lengths, which a decoder cuts to what is there without a word."""

import struct
from collections.abc import Iterator

from tasks.audio.checked import CONVERT, Checked, cut_short, damaged, no_sound, unsupported
from tasks.records.reasons import PairError, Reason

STREAMED = "its header holds no length (it was streamed): all bytes that are there were read"

# What is not here never reaches the decoder: ADPCM overflows in libsndfile 1.2.2 (CVE-2026-37555).
_WAV_CODES = {1, 3, 6, 7}  # PCM, float, A-law, mu-law
_WAV_EXTENSIBLE = 0xFFFE
_OTHER_WAV_CODES = {2: "ADPCM", 0x11: "ADPCM", 0x31: "GSM", 0x50: "MPEG in WAV", 0x55: "MP3 in WAV", 0xFF: "AAC in WAV"}
_AIFC_CODES = {b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64"} | {
    b"alaw", b"ALAW", b"ulaw", b"ULAW",
}  # fmt: skip


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and start of the chunks of a RIFF or IFF file, as far as their headers are there."""
    position = 12
    while position + 8 <= len(data):
        size = struct.unpack_from(f"{order}I", data, position + 4)[0]
        yield data[position : position + 4], size, position + 8
        position += 8 + size + size % 2


def check_wav(data: bytes) -> Checked:
    order = ">" if data[:4] == b"RIFX" else "<"
    long_size, known = None, False
    for name, size, start in _chunks(data, order):
        if name == b"ds64" and start + 16 <= len(data):
            long_size = struct.unpack_from(f"{order}Q", data, start + 8)[0]
        elif name == b"fmt ":
            known = _check_wav_code(data, order, start)
        elif name == b"data":
            if not known:
                break
            return _check_wav_data(data, order, start, size, long_size)
    raise damaged("its header is broken or cut short")


def _check_wav_code(data: bytes, order: str, start: int) -> bool:
    if start + 16 > len(data):
        return False
    code, bits = struct.unpack_from(f"{order}H12xH", data, start)
    if bits == 0:
        raise damaged("its header names 0 bits for each sample")
    if code == _WAV_EXTENSIBLE and start + 28 <= len(data):
        code = struct.unpack_from(f"{order}I", data, start + 24)[0]
    if code in _OTHER_WAV_CODES:
        raise unsupported(_OTHER_WAV_CODES[code])
    if code not in _WAV_CODES:
        raise PairError(Reason.DECODE_ERROR, f"is a WAV of an unknown encoding ({code:#06x}); {CONVERT} (PCM)")
    return True


def _check_wav_data(data: bytes, order: str, start: int, size: int, long_size: int | None) -> Checked:
    there = len(data) - start
    if long_size is not None and size == 0xFFFFFFFF and long_size < 2**63:
        size = long_size or size
    promised = struct.unpack_from(f"{order}I", data, 4)[0] + 8
    if _is_placeholder(size) and not (size == 0 and _are_chunks(data, order, start)):
        return Checked(_with_length(data, order, start), (STREAMED,)) if there else Checked(data)
    if size > there and promised <= len(data):  # the file as a whole has its length: only this one is wrong
        return Checked(data, (f"its header names {size:,} bytes of sound, of the {there:,} that are there",))
    if size > there:
        raise cut_short(f"its header promises {size:,} bytes of sound, {there:,} are there")
    if size < there and not _are_chunks(data, order, start + size + size % 2):
        rest = there - size
        return Checked(data, (f"{rest:,} bytes after the end that its header names were not read",))
    return Checked(data)


def _is_placeholder(size: int) -> bool:
    """What programs write that cannot go back to the header: 0, or about the largest size there is."""
    return size == 0 or (size >= 2**31 - 4096 and -size % 2**31 <= 4096)


def _are_chunks(data: bytes, order: str, start: int) -> bool:
    """Whether the bytes from `start` on are further chunks (or padding), and not sound."""
    position = start
    while position + 8 <= len(data):
        name = data[position : position + 4]
        if name == bytes(4):
            return not any(data[position:])
        if not all(32 <= byte < 127 for byte in name):
            return False
        size = struct.unpack_from(f"{order}I", data, position + 4)[0]
        position += 8 + size + size % 2
    return abs(position - len(data)) <= 1


def _with_length(data: bytes, order: str, start: int) -> bytes:
    """The same WAV with the lengths that it has. (libsndfile takes a length of 0 by its word.)"""
    size = min(len(data) - start, 0xFFFFFFFE)
    fixed = bytearray(data)
    if data[:4] in (b"RF64", b"BW64"):
        fixed[:4] = b"RIFF"
        if (ds64 := data.find(b"ds64", 12, start)) >= 0:
            fixed[ds64 : ds64 + 4] = b"JUNK"
    struct.pack_into(f"{order}I", fixed, 4, min(len(data) - 8, 0xFFFFFFFE))
    struct.pack_into(f"{order}I", fixed, start - 4, size)
    return bytes(fixed)


def check_aiff(data: bytes) -> Checked:
    for name, size, start in _chunks(data, ">"):
        code = data[start + 18 : start + 22]
        if name == b"COMM" and data[8:12] == b"AIFC" and code not in _AIFC_CODES:
            raise unsupported(f"an AIFF in {code!r}")
        if name == b"SSND":
            there = len(data) - start
            if size == 0 and there > 8:
                return Checked(data, (STREAMED,))
            if size > there:
                raise cut_short(f"its header promises {size:,} bytes of sound, {there:,} are there")
            return Checked(data)
    raise no_sound("0 frames")
