"""MP3 and its elders: a chain of frames, between tags. A decoder skips what is missing without a word."""

import struct

from tasks.audio.checked import Checked, cut_short, damaged

_BITRATES = {  # kbit/s by (version 1?, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def id3_size(data: bytes) -> int:
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


def is_mpeg(data: bytes) -> bool:
    """Whether a frame begins here and another follows it (or the end does): two bytes alone prove little."""
    size = _mpeg_header(data, 0)
    return size is not None and (
        size == 0 or size >= len(data) or _mpeg_header(data, size) is not None or _after_tags(data, size) is not None
    )


def check_mpeg(data: bytes) -> Checked:
    size, frames, position, end = _mpeg_header(data, 0) or 0, 0, 0, _mpeg_end(data)
    declared = _declared_frames(data, size)
    while position < end:
        found = _mpeg_header(data, position)
        if found is None:
            behind = _after_tags(data, position)
            if behind is None:
                raise damaged(f"no sound after frame {frames:,} of its MP3 stream")
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
    if declared is not None and frames > declared + 2:
        return Checked(
            data, (f"{frames - declared - 1:,} MP3 frames after the end that its header names were not read",)
        )
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
    if size := id3_size(data[position : position + 10]):
        return position + size
    return None if any(data[position:]) else len(data)
