"""`gramophone metrics` where there is little to show."""

import os
import shlex

import pytest

from tests.flows.conftest import Desk
from tests.tasks.lineage.support import Library


@pytest.fixture
def library(tmp_path):
    library = Library(f"file://{tmp_path}/my root")
    library.started("first", 1)
    library.started("second", 1)
    return library


@pytest.mark.parametrize(("given", "named"), [([], "--latest"), (["--run", "first"], "first")])
def test_where_nobody_has_voted_the_command_that_asks_is_about_what_was_asked(library, tmp_path, given, named):
    said = Desk(tmp_path, dict(os.environ)).ask("metrics", "--votes", *given, "--root", library.root)
    assert said.code == 0, said.err
    assert said.out.startswith(f"no votes on run first under {library.root} yet" if given else "no votes under")
    command = said.out.split("`")[1]
    assert shlex.split(command) == ["gramophone", "listen", named, "--root", library.root, "--blind", "ab"]
