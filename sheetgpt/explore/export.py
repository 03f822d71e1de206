"""The page as one file that works from a disk: with the weights it computes by itself, without them it shows one run.

Everything is in it: style, script, and the model as data, packed. `page/src/computed.ts` reads it.
"""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from sheetgpt.errors import SheetGPTError, StageError
from sheetgpt.explore import built_page, facts, lenses
from sheetgpt.explore.formulas import LiveWorkbook
from sheetgpt.explore.runs import Asked, Runs, words
from sheetgpt.explore.typed import by_cell
from sheetgpt.files import atomic
from sheetgpt.model import Model
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Role
from sheetgpt.run.trace import Trace

MOST_COMPUTED = 1_000_000  # weights of a model that a page computes with
COMPUTES_IN = "float64"
MOST_FORMULAS = 20_000  # of a stage that go along
ONE_RUN = (
    "This page holds one run of a model too large for a page: its cells can't be changed here. "
    "`sheetgpt explore` serves it with all that follows from a change."
)


def export(model: Model, asked: Asked, path: Path) -> Path:
    """Write the page. Returns its path. Raises PageMissingError, StageError, DumpError, and what the run raises."""
    script = built_page.text(built_page.SCRIPT).replace("</script", "<\\/script")
    data = base64.b64encode(gzip.compress(orjson.dumps(page_data(model, asked), default=list), 9, mtime=0)).decode()
    parts = [
        built_page.HEAD,
        f"<style>{built_page.text(built_page.STYLE)}</style>\n</head>\n<body>\n",
        f'<script id="data" type="application/octet-stream">{data}</script>\n',
        f"<script>{script}</script>\n</body>\n</html>\n",
    ]
    atomic.write_file(path, [part.encode() for part in parts])
    return path


def page_data(model: Model, asked: Asked) -> dict[str, Any]:
    """`PageData` of page/src/page_data.ts."""
    require_takes(model, asked)
    runs, computes = Runs(model), computes_by_itself(model)
    trace = runs.whole(asked.unchanged)
    runs.whole(asked)  # what is wrong is said here, not in the browser
    what = by_cell(runs, asked).as_data()
    return {
        "facts": page_facts(model) | {"prompt": what, "readOnly": None if computes else ONE_RUN, "compare": None},
        "vocabulary": model.vocabulary(),
        "tokenizer": model.tokenizer.as_data() if computes and model.tokenizer else None,
        "weights": {name: packed(model.weights[name]) for name in trace.sizes.weights} if computes else None,
        "workbook": workbook(trace),
        "lenses": {name: tables for name in lenses.OF_ONE_RUN if (tables := lens(trace, name)) is not None},
        "run": None if computes else recorded(model, trace),
    }


def require_takes(model: Model, asked: Asked) -> None:
    """Raises StageError where cells are set and the page would not compute what follows."""
    if asked.sets and not computes_by_itself(model):
        raise StageError(
            "the model is too large for a page that computes, so a page that is a file shows no changed run",
            remedy="leave --set or --export out",
        )


def page_facts(model: Model) -> dict[str, Any]:
    """The model's; a page that computes does so in doubles."""
    found = facts.facts(model)
    return found | {"model": found["model"] | {"dtype": COMPUTES_IN}} if computes_by_itself(model) else found


def computes_by_itself(model: Model) -> bool:
    return facts.count_weights(Sizes(model.config, 1, untied=model.weights.untied)) <= MOST_COMPUTED


def packed(matrix: np.ndarray) -> dict[str, Any]:
    """Decimals as the CSV has them: shorter, packed, than the doubles that they stand for."""
    rows, columns = matrix.shape
    return {"rows": rows, "columns": columns, "data": np.asarray(matrix, np.float64).ravel().tolist()}


def workbook(trace: Trace) -> dict[str, Any]:
    """The live workbook's places and formulas for prompts of this run's length."""
    book = LiveWorkbook(trace)
    steps = [
        step
        for step in trace.steps.computed
        if step.role is not Role.PREDICTION and trace.array(step.name).size <= MOST_FORMULAS
    ]
    formulas = {step.name: [(*box, text) for box, text in book.pieces(step)] for step in steps} if book.places else {}
    return {"tokens": len(trace.token_ids), "places": book.places, "formulas": formulas}


def lens(trace: Trace, name: str) -> list[dict[str, Any]] | None:
    """A lens on the run as it was asked for; None where the model has nothing to look at so."""
    try:
        return lenses.tables(trace, name, {}, lambda: trace)
    except SheetGPTError:
        return None


def recorded(model: Model, trace: Trace) -> dict[str, Any]:
    """One run's stages."""
    return words(model, trace) | {
        "stages": {step.name: packed(trace.array(step.name)) for step in trace.steps.computed}
    }
