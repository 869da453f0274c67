"""The machine's own Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window; as a person's it plays a sound only after a key or a click."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--mute-audio"])
        try:
            yield chromium
        finally:
            chromium.close()


def hard_to_read(tab: Page, *selectors: str) -> list[str]:
    """Of each selector's first element, where its letters stand out too little from what is behind them."""
    found = []
    for selector in selectors:
        ink, ground = tab.evaluate(COLOURS, selector)
        if contrast(ink, ground) < 4.5:
            found.append(f"{selector}: {ink} on {ground} (WCAG 2.1, 1.4.3)")
    return found


COLOURS = """(selector) => {
  const element = document.querySelector(selector), clear = "rgba(0, 0, 0, 0)";
  let behind = element;
  while (behind && getComputedStyle(behind).backgroundColor === clear) behind = behind.parentElement;
  return [getComputedStyle(element).color, getComputedStyle(behind || document.documentElement).backgroundColor];
}"""


def contrast(one: str, other: str) -> float:
    """Of two colours as `rgb(r, g, b)`, by WCAG 2.1."""

    def light(colour: str) -> float:
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)
