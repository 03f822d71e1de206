"""The experiment on the live workbook's first tab: LibreOffice finds the answer that is said there."""

from __future__ import annotations

import re

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from engines import with_typed
from sheetgpt import load_model
from sheetgpt.lens.decisive import decisive

PROMPTS = ["Mike is quick. He moves", "Anna is loud. She sings"]
SENTENCE = re.compile(r'Type 0 into (\w+)!(\w+) \(.*\): the answer (?:becomes|stays) "(.*?)" \(')


@pytest.fixture(scope="module")
def written(tmp_path_factory, recalculate):
    """(the sentence, the workbook with the cell typed over and recalculated), for each prompt."""
    folder, found, files = tmp_path_factory.mktemp("experiment"), [], []
    for number, prompt in enumerate(PROMPTS):
        files.append(load_model().run(prompt).to_excel(folder / f"{number}.xlsx", formulas=True))
        book = openpyxl.load_workbook(files[-1])
        cells = [cell for row in book["index"].iter_rows(max_row=10) for cell in row]
        cell = next(cell for cell in cells if SENTENCE.search(str(cell.value)))
        tab, address, _ = SENTENCE.search(cell.value).groups()
        assert cell.hyperlink.location.replace("$", "") == f"{tab}!{address}"
        files[-1] = with_typed(files[-1], folder / f"typed{number}.xlsx", {(tab, address): 0})
        found.append(cell.value)
    return list(zip(found, recalculate(*files), strict=True))


@pytest.mark.office
@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_typing_0_gives_the_answer_that_is_said(number, written):
    sentence, path = written[number]
    rows = CalamineWorkbook.from_path(path).get_sheet_by_name("index").to_python(skip_empty_area=False)
    facts = {row[1]: row[2] for row in rows}
    assert facts["Predicted token"] == SENTENCE.search(sentence)[3]
    found = decisive(load_model().run(PROMPTS[number]))
    assert facts["Its probability"] != pytest.approx(found.probability, abs=1e-3)
    assert found.changes
    assert found.effect in sentence


def test_a_part_of_a_model_promises_no_answer(tmp_path):
    path = load_model().run(PROMPTS[0]).to_excel(tmp_path / "x.xlsx", formulas=True, blocks=range(1))
    text = str(CalamineWorkbook.from_path(path).get_sheet_by_name("index").to_python())
    assert "the answer" not in text
    assert "type over one cell of block_0_step_7" in text
