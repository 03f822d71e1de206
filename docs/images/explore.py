"""Pictures of the page of `sheetgpt explore`, in Chromium: docs/images/explore*.png.

    python docs/images/explore.py

Needs playwright, and Chromium as a program.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
SIZE = {"width": 1280, "height": 800}
READY = "() => globalThis.sheetgpt?.state.run.value?.done && !sheetgpt.state.busy.value"


def edited(page: Page) -> None:
    """The cell on which the answer hangs, typed over."""
    page.click(".main-sheet .cell.at")
    page.keyboard.type("0")
    page.keyboard.press("Enter")


def shown(view: str) -> Callable[[Page], None]:
    return lambda page: page.click(f".views >> text={view}")


def generated(page: Page) -> None:
    page.fill("#prompt", "Mike is quick. He")
    shown("Generate")(page)


PICTURES: dict[str, tuple[str, Callable[[Page], None] | None]] = {
    "explore": ("block_1_step_7[2,5,2]", None),
    "explore-edited": ("block_1_step_7[2,5,2]", edited),
    "explore-sum": ("block_0_step_4[5,52]", None),
    "explore-attention": ("block_1_step_7[2,5,2]", shown("Attention")),
    "explore-generate": ("logits[0,0]", generated),
}


def main() -> None:
    command = [sys.executable, "-m", "sheetgpt", "explore", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as driver:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        for name, (cell, act) in PICTURES.items():
            page = browser.new_page(viewport=SIZE, device_scale_factor=1)
            page.goto(f"{address}#{cell}")
            page.wait_for_function(READY)
            if act is not None:
                act(page)
            page.wait_for_timeout(1500)
            page.screenshot(path=HERE / f"{name}.png")
            page.close()
        browser.close()
        server.terminate()


if __name__ == "__main__":
    main()
