"""infra/README.md: what it tells people to type is understood, and where it points to is there."""

import re
import shlex

import pytest

from tests.infra.commands import INFRA, check

README = (INFRA / "README.md").read_text()
PROGRAMS = ("gramophone", "prefect", "python -m flows.graceful", "ray")


def typed():
    """Command lines of ours, of Prefect's, of Ray's: in blocks, behind what runs them elsewhere, in sentences."""
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    quoted = re.sub(r'"[^"]*"', lambda found: found[0].replace("\n", " "), blocks)
    prose = [
        span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    ]
    for line in [*quoted.splitlines(), *prose]:
        for part in re.split(r"&&|\|\|| > | -- |run --rm tools |exec worker-gpu ", re.sub(r"\s#.*", "", line)):
            command = part.strip()
            if command.startswith(tuple(f"{program} " for program in PROGRAMS)) and "..." not in command:
                yield command


def test_there_are_commands():
    assert len(set(typed())) > 25


@pytest.mark.parametrize("line", sorted(set(typed())))
def test_a_command_is_what_its_program_understands(line):
    words = shlex.split(line)
    check(words if len(words) > 2 else [*words, "--help"])  # of two words: a name in a sentence


def test_every_heading_that_is_linked_is_there_and_so_is_every_file():
    slugs = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in slugs
        elif "://" not in target:
            assert (INFRA / target).exists()
    for path in re.findall(r"`((?:kubernetes|prometheus|grafana)/[\w./-]+)`", README):
        assert (INFRA / path).exists()


def test_every_folder_and_file_here_is_told_of():
    names = {path.name for path in INFRA.iterdir()} - {"README.md", ".env"}
    assert all(re.search(rf"`{re.escape(name)}[`/]", README) for name in names)
