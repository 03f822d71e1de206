"""The page of `explore` in Chromium, served and as a file: first paint, a value from Enter to paint, scrolling.

    python benchmarks/explore.py [FOLDER]      a model beside the embedded one, such as one of GPT-2 small's size

Milliseconds, the median and the worst of some rounds; for scale, what an empty page takes to paint in the same browser.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

ROUNDS = 15
SIZE = {"width": 1280, "height": 800}

# from the key to the frame after the run is whole: what a person waits for
FROM_ENTER = """() => {
  const { state } = sheetgpt;
  window.took = new Promise(done => addEventListener("keydown", event => {
    if (event.key !== "Enter") return;
    const begun = performance.now(), old = state.shownRun.value;
    const look = () => state.shownRun.value !== old && !state.busy.value
      ? requestAnimationFrame(() => done(performance.now() - begun)) : requestAnimationFrame(look);
    requestAnimationFrame(look);
  }, { capture: true, once: true }));
}"""
SCROLLED = """async ([stage, rows]) => {
  sheetgpt.state.go(stage + "[0,0]");
  await new Promise(done => setTimeout(done, 500));
  const grid = document.querySelector(".main-sheet .grid"), took = [];
  let last = performance.now();
  for (let i = 1; i <= 90; i++) {
    grid.scrollTo(i * 37, (i * rows * 21) / 90);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    took.push(now - last);
    last = now;
  }
  return took;
}"""


@contextmanager
def served(*arguments: str):
    command = [sys.executable, "-m", "sheetgpt", "explore", "--no-browser", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.terminate()


def row(what: str, took: list[float]) -> None:
    print(f"{what:<62} {median(took):>7.0f} {max(took):>7.0f}", flush=True)


def first_paint(browser, address: str) -> list[float]:
    took = []
    for _ in range(5):
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.wait_for_function("() => globalThis.sheetgpt?.state.run.value || document.title === 'empty'")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        took.append(page.evaluate("performance.now()"))
        page.close()
    return took


def enter_to_paint(page, address: str) -> list[float]:
    took = []
    page.evaluate("address => sheetgpt.state.go(address)", address)
    page.wait_for_timeout(300)
    for number in range(ROUNDS):
        page.click(".main-sheet .cell.at")
        page.keyboard.press("F2")
        page.fill(".overlay", f"{number / 100 + 0.001}")
        page.evaluate(FROM_ENTER)
        page.keyboard.press("Enter")
        took.append(page.evaluate("window.took"))
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(200)
    return took


def measure(browser, address: str, name: str, cells: list[str], scrolled: tuple[str, int]) -> None:
    row(f"{name}: first paint of the run", first_paint(browser, address))
    page = browser.new_page(viewport=SIZE)
    page.goto(address)
    page.wait_for_function("() => globalThis.sheetgpt?.state.run.value")
    for cell in cells:
        row(f"{name}: {cell}, Enter to paint", enter_to_paint(page, cell))
        page.evaluate("() => sheetgpt.state.reset(sheetgpt.state.edits.value)")
        page.wait_for_function("() => !sheetgpt.state.busy.value")
    stage, rows = scrolled
    row(f"{name}: {stage}, a frame while scrolling", page.evaluate(SCROLLED, [stage, rows]))
    page.close()


def main() -> None:
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        print(f"{'':<62} {'median':>7} {'worst':>7}  ms")
        row("an empty page: first paint", first_paint(browser, "data:text/html,<title>empty</title>"))
        cells = ["block_0_step_7[0,4,2]", "block_1_step_15[4,0]", "model_wte[305,3]"]
        with served() as address:
            measure(browser, address, "embedded, served", cells, ("model_wte", 592))
        page = Path(folder) / "page.html"
        subprocess.run([sys.executable, "-m", "sheetgpt", "explore", "--export", page], check=True, capture_output=True)
        print(f"the page as a file: {page.stat().st_size / 1e6:.1f} MB")
        measure(browser, page.as_uri(), "embedded, file", cells, ("model_wte", 592))
        for model in sys.argv[1:]:
            with served("--weights", model, "--token-ids", "1,2,3,4,5,6,7,8,9,10") as address:
                large = ["block_11_step_7[0,8,2]", "block_6_step_7[0,8,2]", "block_0_step_7[0,8,2]"]
                measure(browser, address, Path(model).name, large, ("model_wte", 50257))
            with served("--weights", model, "--token-ids", ",".join(map(str, range(1024)))) as address:
                measure(browser, address, f"{Path(model).name}, 1,024 tokens", [], ("block_0_step_13", 1024))
        browser.close()


if __name__ == "__main__":
    main()
