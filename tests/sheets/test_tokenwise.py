"""Live workbooks of large models: formulas read their own token and those before it, and give what `run` does.

The embedded model and small ones are written as very large ones are. One that is: `test_whole.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import with_typed
from live_books import address_in, differences, predicted, whole_areas
from sheetgpt.bpe.words import cut
from sheetgpt.model import load_model
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.write import writer_of
from sheetgpt.workbook import tokenwise

PROMPT = "Mike is quick. He moves"
ATTENTION = "model_h0_attn_c_attn_w"


@pytest.fixture(scope="module")
def model():
    return load_model()


def write(trace, path: Path, **options) -> Path:
    return writer_of(plan(trace, by_token=True, **options)).write(path)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenwise, "ROWS_IN_A_BLOCK", 100)
        return write(model.run(PROMPT), tmp_path_factory.mktemp("tokenwise") / "x.xlsx")


def typed(areas, prompt: str) -> dict:
    """The words of a prompt in their rows, the others emptied."""
    words = cut(prompt)
    rows = range(areas["words"].rows)
    return {address_in(areas["words"], row, 0): words[row] if row < len(words) else None for row in rows}


def changed(model, name: str, row: int, column: int, value: float):
    """A run in which one cell is another number."""
    base = model.run(PROMPT)
    matrix = np.array(model.weights[name] if name in model.weights else base.array(name))
    matrix[row, column] = value
    return model.run(PROMPT, overrides={name: matrix})


@pytest.mark.office
def test_every_stage_is_the_run_s_after_any_change(model, file, tmp_path, recalculate):
    areas, cell = whole_areas(file), ("block_0_step_7", 5, 2, 0.9)
    prompts = (PROMPT, PROMPT.replace("moves", "runs"), "Mike is", f"{PROMPT} quickly. Anna is", "She")
    cases = {prompt: (model.run(prompt), typed(areas, prompt)) for prompt in prompts}
    cases["weight"] = changed(model, ATTENTION, 5, 7, 1.5), {address_in(areas[ATTENTION], 5, 7): 1.5}
    cases["attention"] = changed(model, *cell), {address_in(areas[cell[0]], *cell[1:3]): cell[3]}
    files = [with_typed(file, tmp_path / f"{i}.xlsx", edit) for i, (_, edit) in enumerate(cases.values())]
    for name, path in zip(cases, recalculate(*files), strict=True):
        trace, _ = cases[name]
        assert differences(path, trace) == {}, name
        assert predicted(path) == trace.predicted_token
