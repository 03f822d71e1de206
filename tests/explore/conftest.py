"""The page of `explore`, built once for all tests, and its script in a browser, called with Python's numbers."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

import explore_pages as pages
from sheetgpt import load_model
from sheetgpt.explore.export import export
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer

# Data travel as JSON, matrices as base64: [rows, columns, bytes]. Maps come back as objects.
TRAVEL = """
const travel = {
  revive(x) {
    if (Array.isArray(x)) return x.map(travel.revive);
    if (x === null || typeof x !== "object") return x;
    if (x.matrix) {
      const [rows, columns, text] = x.matrix;
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return { rows, columns, data: new Float64Array(bytes.buffer) };
    }
    if (x.float) return Number(x.float);
    return Object.fromEntries(Object.entries(x).map(([name, value]) => [name, travel.revive(value)]));
  },
  pack(x) {
    if (typeof x === "number" && !Number.isFinite(x)) return { float: String(x) };
    if (x instanceof Map) return travel.pack(Object.fromEntries(x));
    if (x instanceof Float64Array) return travel.pack({ rows: 1, columns: x.length, data: x });
    if (ArrayBuffer.isView(x) || x instanceof Set) return [...x];
    if (Array.isArray(x)) return x.map(travel.pack);
    if (x === null || x === undefined || typeof x !== "object") return x;
    if (x.data instanceof Float64Array) {
      const bytes = new Uint8Array(x.data.slice().buffer);
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return { matrix: [x.rows, x.columns, btoa(text)] };
    }
    return Object.fromEntries(Object.entries(x).map(([name, value]) => [name, travel.pack(value)]));
  },
};
const kept = {};
"""


def packed(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        matrix = np.atleast_2d(np.asarray(data, np.float64))
        return {"matrix": [*matrix.shape, base64.b64encode(matrix.tobytes()).decode()]}
    if isinstance(data, float) and not math.isfinite(data):
        return {"float": str(data).replace("inf", "Infinity").replace("nan", "NaN")}
    if isinstance(data, dict):
        return {name: packed(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [packed(value) for value in data]
    return data


def revived(data: Any) -> Any:
    if isinstance(data, dict) and "matrix" in data:
        rows, columns, text = data["matrix"]
        return np.frombuffer(base64.b64decode(text)).reshape(rows, columns)
    if isinstance(data, dict) and "float" in data:
        return float(data["float"])
    if isinstance(data, dict):
        return {name: revived(value) for name, value in data.items()}
    return [revived(value) for value in data] if isinstance(data, list) else data


class Script:
    """The page's script in a browser: `script("return sheetgpt.words.cut(text)", text="Mike is")`.

    Arrays go as matrices, one row where they have one axis, and come back as arrays; `kept` holds what the next
    call may use.
    """

    def __init__(self, page):
        self.page = page

    def __call__(self, body: str, **data: Any) -> Any:
        names = ", ".join(data)
        given = f"const {{{names}}} = travel.revive(JSON.parse(data));"
        made = f"JSON.stringify(travel.pack((() => {{{body}}})()) ?? null)"
        return revived(
            json.loads(self.page.evaluate(f"(data) => {{ {given} return {made}; }}", json.dumps(packed(data))))
        )


@pytest.fixture(scope="module")
def script(page_built, chromium) -> Script:
    page = chromium.new_page()
    page.set_content("<!doctype html><title>script</title>")
    page.add_script_tag(content=TRAVEL)
    page.add_script_tag(path=page_built / "script.js")
    yield Script(page)
    page.close()


# ------------------------------------------------------------------------------------------- the embedded model's page


@pytest.fixture(scope="session")
def addresses(page_built, tmp_path_factory):
    """Where the page of the embedded model is: on a server, and in a file."""
    model, asked = load_model(), Asked(pages.PROMPT)
    file = export(model, asked, tmp_path_factory.mktemp("page") / "page.html")
    with pages.serving(Explorer(model, asked)) as served:
        yield {"served": served, "file": file.as_uri()}


@pytest.fixture(params=["served", "file"])
def kind(request):
    return request.param


@pytest.fixture
def explorer(addresses, kind, chromium):
    """The page of either kind, in a window of its own."""
    with pages.opened(chromium, addresses[kind]) as found:
        yield found


@pytest.fixture
def served(addresses, chromium):
    with pages.opened(chromium, addresses["served"]) as found:
        yield found
