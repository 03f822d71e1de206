"""A server of `explore` in this process, and the page as a person uses it."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import contextmanager

import numpy as np
import uvicorn

from sheetgpt.explore.server import app

TOKEN = "token-of-a-test"
PROMPT = "Mike is quick. He moves"
SIZE = {"width": 1280, "height": 800}


COUNT_REQUESTS = """
window.underWay = 0;
const ask = window.fetch;
window.fetch = async (...asked) => {
  window.underWay++;
  try {
    const answer = await ask(...asked);
    await answer.clone().arrayBuffer();
    return answer;
  } finally {
    setTimeout(() => window.underWay--);
  }
};
"""


@contextmanager
def serving(explorer):
    """The address of a server that answers for this explorer."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app(explorer, TOKEN), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/{TOKEN}/"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def opened(chromium, address, *, refused=None, **options):
    """The page in a browser window of its own; what its script throws fails the test, and what the server refuses.

    refused: in the path of what it may refuse.
    """
    context = chromium.new_context(**{"viewport": SIZE, "permissions": [], **options})
    page = context.new_page()
    thrown = []
    page.on("response", lambda answer: thrown.append(answer.url) if is_wrong(answer, refused) else None)
    page.on("pageerror", lambda error: thrown.append(error))  # noqa: PLW0108 - Playwright marks what it is given
    page.add_init_script(COUNT_REQUESTS)
    page.goto(address)
    page.wait_for_function("() => globalThis.sheetgpt?.state.run.value?.done")
    found = Explorer(page)
    found.settle()
    yield found
    context.close()
    assert not thrown, thrown


def is_wrong(answer, refused):
    return answer.status >= 400 and not (answer.status == 400 and refused and refused in answer.url)


class Explorer:
    """What a person does on the page, and what is seen then."""

    def __init__(self, page):
        self.page = page

    def go(self, address):
        """By the name box."""
        self.page.keyboard.press("Control+g")
        self.page.fill("#name-box", address)
        self.page.keyboard.press("Enter")
        self.settle()

    def prompt(self, text):
        self.page.fill("#prompt", text)
        self.page.press("#prompt", "Enter")
        self.settle()

    def edit(self, address, value):
        self.go(address)
        self.page.click(".main-sheet .cell.at")
        self.page.keyboard.press("F2")
        self.page.fill(".overlay", value)
        self.page.keyboard.press("Enter")
        self.settle()

    def settle(self):
        """Until the run is whole, and what was asked for has come."""
        self.page.wait_for_function("() => !sheetgpt.state.busy.value")
        self.page.wait_for_function("() => !window.underWay")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def address(self):
        return self.page.input_value("#name-box")

    @property
    def value(self):
        return number(self.page.input_value("#value-box"))

    @property
    def answer(self):
        return self.page.inner_text(".top .answer b").replace("·", " ")

    @property
    def complaint(self):
        return self.page.inner_text(".complaint")

    def numbers(self):
        """What the sheet shows: text by (row, column), from 0."""
        cells = self.page.eval_on_selector_all(
            ".main-sheet .cell",
            """cells => cells.map(cell => [
                Number(cell.parentElement.getAttribute("aria-rowindex")), Number(cell.getAttribute("aria-colindex")),
                [...cell.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join("")])""",
        )
        heads = self.page.locator(".main-sheet .grid-line").count()
        return {(row - 1 - heads, column - 2): text for row, column, text in cells}


def number(text):
    return float(re.sub("−", "-", text)) if text else None


def shown(value, decimals=3):
    """A number as a cell shows it."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        mantissa, _, power = f"{value:.0E}".partition("E")
        return f"{mantissa}E{power[0]}{int(power[1:])}".replace("-", "−")
    text = f"{value:.{decimals}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def matrix_of(page, stage):
    """A whole stage of the newest run, as the page's source gives it."""
    found = page.evaluate(
        """async (stage) => {
            const { state } = sheetgpt, run = state.run.value, [rows, columns] = state.shapeOf(stage);
            const found = await state.getSource().cells(run, { stage, row: 0, column: 0, rows, columns });
            return [found.rows, found.columns, [...found.data]];
        }""",
        stage,
    )
    rows, columns, data = found
    return np.array(data).reshape(rows, columns)
