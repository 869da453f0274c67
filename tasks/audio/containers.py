"""Is a file whole? What its container says of itself, read before any decoder sees it.

Decoders end without a word where a file was cut, and one of them (ADPCM in libsndfile 1.2.2, CVE-2026-37555)
overflows: so the structure is walked here, and what is not on our lists is never opened.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from tasks.audio.looks import looks_like, other_sound
from tasks.records.reasons import PairError, Reason

CONVERT = "convert it to WAV or FLAC"
EXPORT_AGAIN = "export or upload it again"

_WAV_CODES = {1, 3, 6, 7}  # PCM, float, A-law, mu-law
_WAV_EXTENSIBLE = 0xFFFE
_OTHER_WAV_CODES = {2: "ADPCM", 0x11: "ADPCM", 0x31: "GSM", 0x50: "MPEG in WAV", 0x55: "MP3 in WAV", 0xFF: "AAC in WAV"}
_AIFC_CODES = {b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64"} | {
    b"alaw", b"ALAW", b"ulaw", b"ULAW",
}  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """Bytes that are whole as far as their container can tell; `data` has a header with lengths in it."""

    data: bytes
    notes: tuple[str, ...] = ()


def check_container(data: bytes) -> Checked:
    """Raises PairError (decode_error, input_unsupported, input_too_short) for what cannot be decoded as a whole."""
    if not data:
        raise PairError(Reason.DECODE_ERROR, f"is empty: 0 bytes; {EXPORT_AGAIN}")
    tagged = _id3_size(data)
    body = data[tagged:].lstrip(b"\0") if tagged else data
    if body[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and body[8:12] == b"WAVE":
        return _check_wav(body)
    if body[:4] == b"FORM" and body[8:12] in (b"AIFF", b"AIFC"):
        return _check_aiff(body)
    if body[:4] == b"fLaC":
        return _check_flac(body)
    if body[:4] == b"OggS" and _ogg_codec(body):
        return _check_ogg(body)
    if _is_mpeg(body):
        return _check_mpeg(body)
    _refuse(data, body)


def _refuse(data: bytes, body: bytes) -> NoReturn:
    if data[:3] == b"ID3":
        why = "nothing follows it" if not any(body) else "what follows it is no sound"
        raise PairError(Reason.DECODE_ERROR, f"begins with a tag of an MP3 (ID3), but {why}; {EXPORT_AGAIN}")
    other = other_sound(data)
    if other is not None:
        raise PairError(Reason.INPUT_UNSUPPORTED, f"is {other}, which is not read; {CONVERT}")
    raise PairError(Reason.DECODE_ERROR, f"is not sound that can be decoded: it {looks_like(data)}")


def cut_short(why: str) -> PairError:
    return PairError(Reason.DECODE_ERROR, f"is cut short: {why}; {EXPORT_AGAIN}")


# --- WAV and AIFF ---------------------------------------------------------------------------------


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and start of the chunks of a RIFF or IFF file, as far as their headers are there."""
    position = 12
    while position + 8 <= len(data):
        size = struct.unpack_from(f"{order}I", data, position + 4)[0]
        yield data[position : position + 4], size, position + 8
        position += 8 + size + size % 2


def _check_wav(data: bytes) -> Checked:
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
    raise PairError(Reason.DECODE_ERROR, f"is a WAV whose header is damaged or cut short; {EXPORT_AGAIN}")


def _check_wav_code(data: bytes, order: str, start: int) -> bool:
    if start + 16 > len(data):
        return False
    code = struct.unpack_from(f"{order}H", data, start)[0]
    if code == _WAV_EXTENSIBLE and start + 26 <= len(data):
        code = struct.unpack_from(f"{order}H", data, start + 24)[0]
    if code in _OTHER_WAV_CODES:
        raise PairError(Reason.INPUT_UNSUPPORTED, f"is {_OTHER_WAV_CODES[code]}, which is not read; {CONVERT} (PCM)")
    if code not in _WAV_CODES:
        raise PairError(Reason.DECODE_ERROR, f"is a WAV of an unknown encoding ({code:#06x}); {CONVERT} (PCM)")
    return True


def _check_wav_data(data: bytes, order: str, start: int, size: int, long_size: int | None) -> Checked:
    there = len(data) - start
    if long_size is not None and size == 0xFFFFFFFF and long_size < 2**63:
        size = long_size or size
    promised = struct.unpack_from(f"{order}I", data, 4)[0] + 8
    if _is_placeholder(size) and not (size == 0 and _are_chunks(data, order, start)):
        note = "its header holds no length (it was streamed): all bytes that are there were read"
        return Checked(_with_length(data, order, start), (note,)) if there else Checked(data)
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
    if fixed[:4] in (b"RF64", b"BW64"):
        fixed[:4] = b"RIFF"
        ds64 = data.find(b"ds64", 12, start)
        fixed[ds64 : ds64 + 4] = b"JUNK"
    struct.pack_into(f"{order}I", fixed, 4, min(len(data) - 8, 0xFFFFFFFE))
    struct.pack_into(f"{order}I", fixed, start - 4, size)
    return bytes(fixed)


def _check_aiff(data: bytes) -> Checked:
    form, sound = data[8:12], False
    for name, size, start in _chunks(data, ">"):
        code = data[start + 18 : start + 22]
        if name == b"COMM" and form == b"AIFC" and code not in _AIFC_CODES:
            raise PairError(Reason.INPUT_UNSUPPORTED, f"is an AIFF in {code!r}, which is not read; {CONVERT}")
        if name == b"SSND":
            sound = True
            if start + size > len(data):
                raise cut_short(f"its header promises {size:,} bytes of sound, {len(data) - start:,} are there")
    if not sound:
        raise PairError(Reason.INPUT_TOO_SHORT, "holds no sound: an AIFF without samples")
    return Checked(data)


# --- FLAC -----------------------------------------------------------------------------------------


def _check_flac(data: bytes) -> Checked:
    if len(data) < 42 or data[4] & 0x7F != 0:
        raise cut_short("it ends in its header")
    if int.from_bytes(data[18:26], "big") & (2**36 - 1):
        return Checked(data)
    if len(data) <= _flac_start(data):
        raise PairError(Reason.INPUT_TOO_SHORT, "holds no sound: a FLAC of 0 frames")
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


# --- Ogg ------------------------------------------------------------------------------------------


def _ogg_codec(data: bytes) -> bool:
    """Whether the first page (of at least 27 bytes and its lacing) begins a stream of a codec that is read."""
    return len(data) < 64 or b"\x01vorbis" in data[28:64] or b"OpusHead" in data[28:64]


def _check_ogg(data: bytes) -> Checked:
    """Every page (RFC 3533) must follow the one before it, be whole, and the last of its stream must say so."""
    position, flags = 0, 0
    while data[position : position + 4] == b"OggS":
        segments = data[position + 26] if position + 27 <= len(data) else 0
        lacing = data[position + 27 : position + 27 + segments]
        end = position + 27 + segments + sum(lacing)
        if position + 27 > len(data) or len(lacing) < segments or end > len(data):
            raise cut_short("the last page of its Ogg stream is not whole")
        flags = data[position + 5]
        position = end
    if data.find(b"OggS", position) >= 0:
        raise PairError(Reason.DECODE_ERROR, f"is damaged: a page of its Ogg stream is broken; {EXPORT_AGAIN}")
    if not flags & 4:
        raise cut_short("the end of its Ogg stream is missing")
    return Checked(data)


# --- MPEG audio -----------------------------------------------------------------------------------

_BITRATES = {  # kbit/s by (version 1?, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _id3_size(data: bytes) -> int:
    """Bytes of the ID3v2 tags at the start."""
    position = 0
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        a, b, c, d = data[position + 6 : position + 10]
        footer = 10 if data[position + 5] & 0x10 else 0
        position += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
    return position


def _mpeg_header(data: bytes, position: int) -> int | None:
    """Bytes of the frame that begins here; 0 where it does not say (free format); None where there is no frame."""
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate == 15 or rate == 3:
        return None
    bits, hertz, padding = (
        _BITRATES[version == 3, layer][bitrate] * 1000,
        _MPEG_RATES[version][rate],
        header[2] >> 1 & 1,
    )
    if bits == 0:
        return 0
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def _declared_frames(data: bytes, size: int) -> int | None:
    """How many frames the encoder counted, if it wrote that into the first one (Xing, LAME, Fraunhofer)."""
    frame = data[: min(size, 200)]
    found = max(frame.find(b"Xing"), frame.find(b"Info"))
    if found >= 0 and len(frame) >= found + 12 and frame[found + 7] & 1:
        return int.from_bytes(frame[found + 8 : found + 12], "big")
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54], "big")
    return None


def _is_mpeg(data: bytes) -> bool:
    """Whether a frame begins here and another follows it (or the end does): two bytes alone prove little."""
    size = _mpeg_header(data, 0)
    return size is not None and (
        size == 0 or size >= len(data) or _mpeg_header(data, size) is not None or _after_tags(data, size) is not None
    )


def _check_mpeg(data: bytes) -> Checked:
    size, frames, position, end = _mpeg_header(data, 0) or 0, 0, 0, _mpeg_end(data)
    declared = _declared_frames(data, size)
    while position < end:
        found = _mpeg_header(data, position)
        if found is None:
            behind = _after_tags(data, position)
            if behind is None:
                raise PairError(
                    Reason.DECODE_ERROR,
                    f"is damaged: no sound after frame {frames:,} of its MP3 stream; {EXPORT_AGAIN}",
                )
            position = behind
        elif found == 0:
            return Checked(data)  # free format: its frames cannot be walked
        elif position + found > end:
            raise cut_short("the last frame of its MP3 stream is not whole")
        else:
            frames += 1
            position += found
    # Encoders do not agree on whether the frame that holds the count is one of them.
    if declared is not None and frames < declared:
        raise cut_short(f"its header promises {declared:,} MP3 frames, {frames:,} are there")
    return Checked(data)


def _mpeg_end(data: bytes) -> int:
    """Where the tags at the end begin (ID3v1, Lyrics3, APE)."""
    end = len(data)
    if data[max(0, end - 128) : end - 125] == b"TAG":
        end -= 128
    if data[max(0, end - 9) : end] in (b"LYRICS200", b"LYRICSEND"):
        end = max(data.rfind(b"LYRICSBEGIN", 0, end), 0) or end
    if data[max(0, end - 32) : end - 24] == b"APETAGEX":
        size, flags = struct.unpack_from("<I4xI", data, end - 20)
        end -= size + (32 if flags & 2**31 else 0)
    return max(end, 0)


def _after_tags(data: bytes, position: int) -> int | None:
    """Where to go on behind a tag or padding between frames; None where there is neither."""
    if data[position : position + 3] == b"TAG":
        return position + 128
    if data[position : position + 3] == b"ID3":
        return position + _id3_size(data[position : position + 10])
    return None if any(data[position:]) else len(data)
