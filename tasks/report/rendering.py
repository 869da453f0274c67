"""Pages that stand alone: their template with the style and the player that all of them share."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tasks.records.words import at_root


def rendered(package: str, template: str, **values: Any) -> str:
    """A template of a package, given the page's own `script` among its values."""
    style, player = (text_of("tasks.report", name) for name in ("page.css", "player.js"))
    return template_of(package, template).render(style=style, player=player, **values)


@cache
def template_of(package: str, name: str) -> Template:
    """A template of a package: what is inserted is escaped, and what is not given is an error."""
    environment = Environment(
        loader=PackageLoader(package, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"json": script_json, "at_root": at_root}
    return environment.get_template(name)


def text_of(package: str, name: str) -> str:
    return (files(package) / name).read_text()


def script_json(value: Any) -> str:
    """JSON that may stand in a script: nothing in it ends one."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
