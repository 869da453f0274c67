"""What a file is that is no sound we read, from its first bytes, in words for the person who chose it."""

_STARTS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a bitmap picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a parquet file"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
    (b"\x00\x05\x16\x07", "a companion file of macOS (._name) without the sound itself"),
    (b"bplist", "a placeholder of macOS without the sound itself"),
    (b"version https://git-lfs", "a Git LFS pointer without the file itself"),
    (b"#EXTM3U", "a playlist, which names sounds and holds none"),
    (b"ffconcat", "a playlist, which names sounds and holds none"),
    (b"[playlist]", "a playlist, which names sounds and holds none"),
)

_OTHER_SOUND = (
    (b"\x0b\x77", "AC-3"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"\x30\x26\xb2\x75", "Windows Media (WMA)"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"#!AMR", "AMR"),
    (b"caff", "Core Audio (CAF)"),
    (b".snd", "Sun audio (AU)"),
    (b"riff\x2e\x91\xcf\x11", "Wave64"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"OggS", "an Ogg of another kind"),
)


def other_sound(data: bytes) -> str | None:
    """The format of a sound or film that is sound, but none of ours."""
    if data[4:8] == b"ftyp":
        return "M4A or MP4 (AAC)"
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xF6 == 0xF0:
        return "AAC"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "AVI"
    return next((name for start, name in _OTHER_SOUND if data.startswith(start)), None)


def looks_like(data: bytes) -> str:
    """What the first bytes of something that is no sound say it is."""
    for start, what in _STARTS:
        if data.startswith(start):
            return f"looks like {what}"
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<error>" in head and b"<code>" in head:
        return "looks like a storage error page that was saved in place of the file"
    if head.startswith((b"<!doctype html", b"<html", b"<head")):
        return "looks like a web page (HTML) that was saved in place of the file"
    if head.startswith(b"<?xml"):
        return "looks like XML"
    if head.startswith((b"{", b"[")) and _is_text(head):
        return "looks like JSON"
    if _is_text(head):
        return "looks like text"
    if not any(data[:65_536]):
        return "begins with zeros only, as a download that was never finished"
    return f"begins with the bytes {data[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    return bool(head) and all(32 <= byte < 127 or byte >= 128 or byte in b"\r\n\t" for byte in head) and _decodes(head)


def _decodes(head: bytes) -> bool:
    try:
        head[:-4].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True
