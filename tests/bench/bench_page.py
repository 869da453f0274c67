"""Wall seconds until the page of a run with a thousand pairs can be used in Chromium: from the folder in which it lies
and served by `gramophone listen`, beside the same of ten pairs and beside one plain page that holds everything.

    python -m tests.bench.bench_page [--pairs 1000] [--repeat 7]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize

from tasks.report import write_report
from tests.bench.table import figure, machine, markdown, spread, verdict
from tests.browser import CHROMIUM, browser
from tests.servers import stop
from tests.tasks.report.test_write import Night, done

TARGET_SECONDS = 2.0
PROMISED = (0, 1)
"""The measures that have that target: a thousand pairs, from a folder and served."""
PATIENCE_MS = 300_000
# The page's own policy would forbid to wait for these, which are evaluated in it: hence bypass_csp.
VIEW: ViewportSize = {"width": 1_280, "height": 900}
LISTED = "document.querySelectorAll('#lines tbody tr').length > 0"
SHOWN = "document.readyState === 'complete' && [...document.images].every((i) => i.complete && i.naturalWidth > 0)"


def night(folder: Path, pairs: int) -> Path:
    """A run of so many pairs, each with its pictures and curves, and its page."""
    root = f"file://{folder}"
    made = Night(root, pairs)
    made.commit([done(row, root) for row in range(pairs)])
    made.end()
    return Path(write_report(made.store, made.layout).removeprefix("file://"))


def plain(page: Path) -> Path:
    """What a page would be without parts: every pair of `page` in it, with its figures, pictures and players."""
    rows = []
    for part in sorted((page.parent / "report").glob("*.js")):
        for pair in json.loads(part.read_text().split(", ", 1)[1].rstrip().removesuffix(")")):
            pictures = "".join(f'<img src="data:image/png;base64,{picture}">' for picture in pair["pictures"].values())
            players = "".join(
                f'<audio controls preload="none" src="{escape(sound["link"] or "")}"></audio>'
                for sound in pair["sounds"]["sounds"].values()
            )
            figures = "".join(f"<td>{escape(name)} {value}</td>" for name, value in pair["figures"].items())
            rows.append(f"<tr><th>{escape(pair['name'])}</th>{figures}<td>{pictures}{players}</td></tr>")
    whole = page.with_name("plain.html")
    whole.write_text(f"<!doctype html><meta charset=utf-8><title>plain</title><table>{''.join(rows)}</table>")
    return whole


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a run's page, as `gramophone listen` says it."""
    command = [sys.executable, "-m", "flows.cli", "listen", "r1", "--root", str(folder), "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout
        yield server.stdout.readline().decode().strip()
    finally:
        stop(server)


def load(chromium: Browser, address: str, until: str) -> float:
    """Wall seconds from the request in a browser that knows nothing until the page is as it is wanted."""
    context = chromium.new_context(viewport=VIEW, bypass_csp=True)
    tab = context.new_page()
    clock = time.perf_counter()
    tab.goto(address, wait_until="load", timeout=PATIENCE_MS)
    tab.wait_for_function(until, timeout=PATIENCE_MS)
    seconds = time.perf_counter() - clock
    context.close()
    return seconds


def open_pair(chromium: Browser, address: str) -> float:
    """Wall seconds from a key until one pair stands there with its three pictures."""
    context = chromium.new_context(viewport=VIEW, bypass_csp=True)
    tab = context.new_page()
    tab.goto(address)
    tab.wait_for_function(LISTED)
    clock = time.perf_counter()
    tab.keyboard.press("j")
    tab.wait_for_function(f"document.querySelectorAll('.picture img').length === 3 && {SHOWN}")
    seconds = time.perf_counter() - clock
    context.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Wall seconds until the page of a run can be used.")
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    if CHROMIUM is None:
        print("Not measured: there is no Chromium on this machine.")
        return
    folder = Path(tempfile.mkdtemp(prefix="gramophone-bench-"))
    try:
        many, few = night(folder / "many", given.pairs), night(folder / "few", 10)
        whole = plain(many)
        with served(folder / "many") as address, browser() as chromium:
            asked = {
                f"{given.pairs:,} pairs, from a folder": lambda: load(chromium, f"file://{many}", LISTED),
                f"{given.pairs:,} pairs, served": lambda: load(chromium, address, LISTED),
                "a pair opened, served": lambda: open_pair(chromium, address),
                "10 pairs, from a folder": lambda: load(chromium, f"file://{few}", LISTED),
                f"{given.pairs:,} pairs in one plain page": lambda: load(chromium, f"file://{whole}", SHOWN),
            }
            found: dict[str, list[float]] = {name: [] for name in asked}
            for once in asked.values():  # fills the file cache
                once()
            for _ in range(given.repeat):  # interleaved, so that a busy moment of the machine falls on all
                for name, once in asked.items():
                    found[name].append(once())
            version = chromium.version
        sizes = [path.stat().st_size / 1e6 for path in (many, whole)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ours, *_, peer = found.values()
    rows = [
        [name, spread(values), verdict(values, TARGET_SECONDS) if number in PROMISED else ""]
        for number, (name, values) in enumerate(found.items())
    ]
    rows.append(
        ["ratio, from a folder to one plain page", spread([a / b for a, b in zip(ours, peer, strict=True)]), ""]
    )
    print(machine("playwright", Chromium=version, repeat=given.repeat), end="\n\n")
    print(f"The page is {figure(sizes[0])} MB, the plain one with everything in it {figure(sizes[1])} MB.", end="\n\n")
    print(markdown(["wall seconds", "min / median / max", "median"], rows))


if __name__ == "__main__":
    main()
