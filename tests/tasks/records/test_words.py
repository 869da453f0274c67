"""Commands that people copy mean to a shell what they say."""

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.records.reasons import POLICIES, remedy
from tasks.records.words import amount, at_root, pair_name

SAYING = {".py", ".j2", ".js"}
ROOTS = st.text(st.characters(exclude_categories=("Cc", "Cs"))).map("file:///{}".format)


@given(root=ROOTS)
def test_a_shell_reads_back_the_root_whatever_its_name_holds(root):
    assert shlex.split(f"gramophone status --latest {at_root(root)}")[3:] == ["--root", root]


@given(root=ROOTS.filter(lambda root: "`" not in root), reason=st.sampled_from(list(POLICIES)))
def test_every_remedy_that_names_a_run_names_its_root(root, reason):
    commands = [text for text in remedy(reason, f"r1 {at_root(root)}").split("`")[1::2] if " r1 " in text]
    assert all(shlex.split(text)[2:5] == ["r1", "--root", root] for text in commands)


def test_no_command_names_a_root_as_it_stands():
    home = Path(__file__).resolve().parents[3]
    paths = [path for part in ("flows", "tasks") for path in (home / part).rglob("*") if path.suffix in SAYING]
    texts = {path: path.read_text() for path in paths}
    assert len(texts) > 100
    assert not [path for path, text in texts.items() if re.search(r"--root \{(?!quote\()", text)]


@pytest.mark.parametrize("root", ["file:///home/me/music", "s3://music/gramophone", "demo/data"])
def test_a_plain_root_stands_as_it_is(root):
    assert at_root(root) == f"--root {root}"


def test_a_pair_without_a_name_is_called_by_its_row():
    assert [pair_name("tune-x-rain", 3), pair_name(None, 3)] == ["tune-x-rain", "row 3"]


def test_one_is_no_plural():
    assert [amount(n, "pair") for n in (0, 1, 1_200)] == ["0 pairs", "1 pair", "1,200 pairs"]
