"""The portable live workbook as a file: its few functions, plain names, limits, words; and the law of its formulas."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from conftest import require
from engines import RECALCULATING, numbers, text_of, with_typed
from models import SMALL, random_ids, write_random_model
from op_cases import CASES as OPERATIONS
from portable_books import EMBEDDED, PROMPT, name_areas
from sheetgpt.bpe.words import cut
from sheetgpt.cli import cli
from sheetgpt.diff import diff
from sheetgpt.diff.sides import RunSide, open_side
from sheetgpt.errors import DumpError
from sheetgpt.model import load_model
from sheetgpt.sheets.live.plan import GOOGLE_SHEETS, Size, plan
from sheetgpt.sheets.live.portable import write_portable_workbook
from sheetgpt.sheets.live.write import write_live_workbook
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers
from sheetgpt.workbook.cellwise import cell_formulas
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.reading.names import name_texts
from sheetgpt.workbook.reading.open import Workbook
from sheetgpt.workbook.references import Source

ALPHABET = ["a", "Z", "s", "t", "re", "ll", "d", "1", "42", "'", ".", "!", " ", " ", "'s", "'ll", "=", "*", "?", "~"]


def word_lists(count: int, most: int) -> list[list[str]]:
    """Texts as GPT-2 cuts them, and the same texts cut anywhere."""
    rng, found = np.random.default_rng(3), []
    while len(found) < count:
        pieces = rng.choice(ALPHABET, rng.integers(1, most + 1)).tolist()
        found.append(cut("".join(pieces)) if len(found) % 3 == 0 else pieces)
    return found


def test_words_are_accepted_exactly_where_gpt2_would_cut_them(portable_files):
    """In IronCalc, by its own interface: words typed one list after the other into one workbook."""
    ironcalc = require("ironcalc", "test")
    model, areas = ironcalc.load_from_xlsx(str(portable_files["softmax"])), name_areas(portable_files["softmax"])
    tab = [one["name"] for one in model.get_worksheets_properties()].index("words")
    words, said = areas["words"], areas["word_messages"]
    for typed in word_lists(90, words.rows):
        for i in range(words.rows):
            where = tab, words.row + i + 1, words.column + 1
            if i < len(typed):
                model.update_cell_with_text(*where, typed[i])
            else:
                model.clear_cell_contents(*where)
        model.evaluate()
        told = [model.get_cell_value(tab, said.row + i + 1, said.column + 1) or "" for i in range(said.rows)]
        assert (told == [""] * said.rows) == (cut("".join(typed)) == typed), (typed, told)


def sheets_of(path: Path) -> str:
    with ZipFile(path) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist() if "worksheets/sheet" in name)


def test_formulas_are_one_a_cell_and_of_few_functions(portable_files):
    for name, path in portable_files.items():
        sheets = sheets_of(path)
        boxes = re.findall(r'<f t="array" ref="([^"]+)">', sheets)
        assert len(boxes) == sheets.count("<f ") > 1_000, name
        assert not [box for box in boxes if ":" in box], name
        formulas = re.sub(r'"[^"]*"', "", " ".join(re.findall(r"<f[^>]*>([^<]*)</f>", sheets)))
        assert set(re.findall(r"([A-Z][A-Z.]+)\(", formulas)) <= set(
            "IF AND OR SUM SUMPRODUCT TRANSPOSE AVERAGE VARP SUMSQ SQRT EXP LN TANH SIN COS PI MAX MIN INDEX MATCH "
            "EXACT LEFT RIGHT MID LEN FIND CODE SUBSTITUTE COUNT COUNTA ISNUMBER IFERROR INT LARGE RANK RAND".split()
        ), name


def test_no_name_is_more_than_a_plain_range(portable_files):
    for path in portable_files.values():
        names = dict(name_texts(path))
        assert "logits" in names
        strange = [text for text in names.values() if not re.fullmatch(r"\w+!\$[A-Z]+\$\d+(:\$[A-Z]+\$\d+)?", text)]
        assert strange == []


def test_our_own_diff_reads_it_with_fewer_words_than_tokens_too(portable_models, tmp_path):
    for prompt in (PROMPT, "Mike is zzz quickly. He moves", "It's =1+1 * ?", "Anna is n\u00e9"):
        trace = portable_models["gpt2"].run(prompt)
        path = trace.to_excel(tmp_path / "x.xlsx", formulas=True, portable=True)
        report = diff(RunSide(trace), open_side(str(path)))
        assert report.equal, report.first


def test_the_first_tab_says_for_how_many_tokens_it_is(portable_files):
    index = openpyxl.load_workbook(portable_files[EMBEDDED])["index"]
    cells = [str(value) for row in index.iter_rows(max_row=30, values_only=True) for value in row]
    lines = [value for value in cells if re.match(r"[1-5]\.  ", value)]
    assert len(lines) == 5
    assert "laid out for 6 tokens" in lines[0]
    assert "type over any of them" in lines[4]


# ------------------------------------------------------------------------------------------------ limits


def test_it_is_laid_out_for_the_prompt_s_own_tokens(portable_models):
    trace = portable_models[EMBEDDED].run(PROMPT)
    assert plan(trace, portable=True).max_tokens == len(trace.token_ids)
    with pytest.raises(DumpError, match="laid out for the prompt's own 6 tokens: leave --max-tokens out"):
        plan(trace, portable=True, max_tokens=8)
    with pytest.raises(DumpError, match="holds up to 120 letters in a word, not 130: leave --portable out"):
        plan(portable_models["softmax"].run("a" * 130), portable=True)


def test_some_blocks_are_portable_too(tmp_path):
    write_random_model(tmp_path, SMALL)
    trace = load_model(tmp_path).run(token_ids=random_ids(SMALL, 4))
    path = write_portable_workbook(trace, tmp_path / "block.xlsx", blocks=range(1, 2))
    cells, areas = RECALCULATING["ironcalc"](with_typed(path, tmp_path / "bare.xlsx", {})), name_areas(path)
    for name in (one for one in trace if trace.step(one).block == 1):
        assert numbers(cells(areas[name])) == pytest.approx(trace.array(name), rel=1e-9, abs=1e-9), name


def test_a_model_without_words_says_what_is_wrong_with_its_ids(tmp_path):
    write_random_model(tmp_path, SMALL)
    trace = load_model(tmp_path).run(token_ids=random_ids(SMALL, 4))
    path = write_portable_workbook(trace, tmp_path / "ids.xlsx")
    areas = name_areas(path)
    ids = areas["token_ids"]
    for typed, says in ((SMALL.n_vocab, "A token id is"), (None, "This sheet is laid out for 4 token ids"), (7, "")):
        copy = with_typed(path, tmp_path / "typed.xlsx", {(ids.tab, cell(ids.row, ids.column + 1)): typed})
        cells = RECALCULATING["ironcalc"](copy)
        said = text_of(cells, areas["message"])
        assert said.startswith(says) if says else said == ""
        assert (text_of(cells, areas["predicted_token"].part(2, 1, 1, 1)) == "") == bool(says)


def test_what_google_sheets_does_not_hold_is_said(portable_models):
    small = plan(portable_models[EMBEDDED].run(PROMPT), portable=True).size
    assert "Google" not in str(small)
    assert 142_080 < small.cells < small.grid < GOOGLE_SHEETS
    large = Size(12_000_000, 500_000, 6, portable=True, grid=13_000_000)
    assert str(large).endswith("; Google Sheets holds 10,000,000 cells, and this has 13,000,000 with empty ones")
    assert "Google" not in str(replace(large, portable=False))


def test_the_command_writes_it_and_says_its_size(tmp_path):
    command = ["run", PROMPT, "--dump-xlsx", "--formulas", "--portable", "--exports", str(tmp_path)]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "Writing a portable live workbook for 6 tokens: 142,080 weights and " in done.output
    assert [file.name for file in tmp_path.iterdir()] == ["mike-is-quick-he-moves.xlsx"]


def test_the_option_alone_says_what_it_goes_with():
    for options in (["--portable"], ["--portable", "--dump-xlsx"]):
        alone = CliRunner().invoke(cli, ["run", PROMPT, *options])
        assert str(alone.exception) == "--portable goes with --formulas: add --dump-xlsx --formulas"


# ------------------------------------------------------------------------------------------------ the law


@pytest.mark.office
@pytest.mark.parametrize("engine", RECALCULATING)
def test_they_follow_no_live_workbook_that_is_not_portable(engine, portable_models, tmp_path):
    """So the docs say; where this fails, they have learned it."""
    trace = portable_models["gpt2"].run(PROMPT)
    path = write_live_workbook(trace, tmp_path / "live.xlsx")
    [predicted] = Workbook(path).names["predicted_token"]
    cells = RECALCULATING[engine](with_typed(path, tmp_path / "bare.xlsx", {}))
    assert text_of(cells, predicted.part(2, 1, 1, 1)) != trace.predicted_token


@pytest.mark.office
@pytest.mark.parametrize("engine", RECALCULATING)
def test_cell_by_cell_every_operation_s_formula_is_its_value(engine, tmp_path):
    rng, book, expected = np.random.default_rng(5), Book("law"), {}
    for number, case in enumerate(OPERATIONS):
        tab, row, sources, inputs = f"t{number}", 0, [], case.draw(rng, ())
        book.add_tab(tab)
        for i, x in enumerate(inputs):
            matrix = np.asarray(x[:, None] if x.ndim == 1 else x, float)
            sources.append(Source(f"x{i}", Area(tab, row, 0, *matrix.shape), vector=x.ndim == 1))
            book.put(Numbers(sources[-1].area, matrix), "number")
            row += len(matrix) + 1
        out = case.op.value(*inputs)
        area = Area(tab, 0, 50, *out.shape)
        texts = dict(cell_formulas(case.op, area, sources))
        assert len(texts) == out.size
        book.put(Formulas(area, np.full(out.shape, 77.0).tolist(), texts), "number")
        expected[str(case)] = area, out
    book.save(tmp_path / "law.xlsx")
    cells = RECALCULATING[engine](with_typed(tmp_path / "law.xlsx", tmp_path / "bare.xlsx", {}))
    for name, (area, out) in expected.items():
        assert numbers(cells(area)) == pytest.approx(out, rel=1e-11, abs=1e-11), name
