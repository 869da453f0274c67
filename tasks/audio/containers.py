"""Is a file whole? What its container says of itself, read before any decoder sees it.

Decoders end without a word where a file was cut: so the structure is walked here, and what is on none of our
lists is never opened.
"""

from typing import NoReturn

from tasks.audio.checked import EXPORT_AGAIN, Checked, unsupported
from tasks.audio.looks import looks_like, other_sound
from tasks.audio.mpeg import check_mpeg, id3_size, is_mpeg
from tasks.audio.riff import check_aiff, check_wav
from tasks.audio.xiph import check_flac, check_ogg, is_ogg
from tasks.records.reasons import PairError, Reason


def check_container(data: bytes) -> Checked:
    """Raises PairError (decode_error, input_unsupported, input_too_short) for what cannot be decoded as a whole."""
    if not data:
        raise PairError(Reason.DECODE_ERROR, f"is empty: 0 bytes; {EXPORT_AGAIN}")
    tagged = id3_size(data)
    body = data[tagged:].lstrip(b"\0") if tagged else data
    if body[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and body[8:12] == b"WAVE":
        return check_wav(body)
    if body[:4] == b"FORM" and body[8:12] in (b"AIFF", b"AIFC"):
        return check_aiff(body)
    if body[:4] == b"fLaC":
        return check_flac(body)
    if is_ogg(body):
        return check_ogg(body)
    if is_mpeg(body):
        return check_mpeg(body)
    _refuse(data, body)


def _refuse(data: bytes, body: bytes) -> NoReturn:
    if data[:3] == b"ID3":
        why = "nothing follows it" if not any(body) else "what follows it is no sound"
        raise PairError(Reason.DECODE_ERROR, f"begins with a tag of an MP3 (ID3), but {why}; {EXPORT_AGAIN}")
    other = other_sound(data)
    if other is not None:
        raise unsupported(other)
    raise PairError(Reason.DECODE_ERROR, f"is not sound that can be decoded: it {looks_like(data)}")
