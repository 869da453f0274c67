"""What people are told in more than one place: what a pair is called, how many, and what to type."""

from shlex import quote


def pair_name(pair_id: str | None, manifest_row: int) -> str:
    """What a pair is called: its id or, where it has none, its row."""
    return pair_id or f"row {manifest_row}"


def amount(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def at_root(root: str) -> str:
    """The end of a command that is to be copied: a shell reads `root` back from it, whatever its name holds."""
    return f"--root {quote(root)}"
