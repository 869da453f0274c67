import re
from pathlib import Path

from tasks.records.usual import USUAL

TABLE = (Path(__file__).parents[3] / "manifests" / "README.md").read_text()


def test_the_page_and_the_readme_name_the_same_usual_figures():
    rows = [line.split(" | ") for line in TABLE.splitlines() if line.startswith("| `") and " | " in line]
    told = {}
    for names, _, *usual in rows:
        for name, figures in zip(re.findall(r"`(\w+)`", names), "".join(usual[:1]).split("; "), strict=False):
            told[name] = [float(figure) for figure in re.findall(r"-?\d+(?:\.\d+)?", figures)]
    assert {name: (told[name][0], told[name][2]) for name in USUAL} == USUAL
