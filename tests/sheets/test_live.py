"""The live workbook: LibreOffice computes every stage from scratch, before and after cells are edited, as `run` does.

All workbooks of this file are written and edited first, then recalculated in one start of LibreOffice.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from engines import with_typed
from live_books import address_in, differences, predicted, spoil, stage, whole_area, whole_areas
from models import ODD_HEADS, ONE_BLOCK, SMALL, random_ids, write_model_with_words, write_random_model
from sheetgpt import ops
from sheetgpt.bpe.words import cut
from sheetgpt.diff import diff
from sheetgpt.diff.sides import RunSide, WorkbookSide, open_side
from sheetgpt.errors import DumpError
from sheetgpt.model import Model, load_model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import matrix_shapes
from sheetgpt.sheets.live import plan as live_plan
from sheetgpt.sheets.live.labels import ALL_RANKS
from sheetgpt.sheets.live.plan import Size, parse_blocks, plan
from sheetgpt.sheets.live.words import WordRow, constants
from sheetgpt.sheets.live.write import write_live_workbook
from sheetgpt.weights.folder import Weights
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import MAX_ROWS, Area, cell
from sheetgpt.workbook.reading.names import areas_of, name_texts
from sheetgpt.workbook.reading.open import Workbook
from workbooks import set_cells

PROMPT = "Mike is quick. He moves"
LONGEST = "Anna is slow. She moves slowly. Mike is quick. He moves quickly"  # as many tokens as its layout holds
ROOM, TINY_ROOM = 12, 10  # tokens in the layout of PROMPT
TINY_WORD = 8  # characters of a word in the small models' layout
FULL = -1
FIRST_WORD = 5  # row of the tab words


@pytest.fixture(scope="module")
def model():
    """The embedded model."""
    return load_model()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small random model with words of its own, for what doesn't depend on the model's size."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model_with_words(folder, (PROMPT + " quickly. ") * 3)
    return load_model(folder)


def tab(path: Path, name: str) -> list[list]:
    return CalamineWorkbook.from_path(path).get_sheet_by_name(name).to_python(skip_empty_area=False)


def message(path: Path) -> str:
    return tab(path, "words")[1][1]


def place(book, name: str) -> Area:
    """The whole area of a stage, with the room for more tokens."""
    return whole_area(book.defined_names[name].attr_text)


# ------------------------------------------------------------------------------------------------ edits


Typed = dict[tuple[str, str], float | str | None]  # as `with_typed` takes them


@dataclass
class Case:
    """A workbook: the prompt it is written for, what is edited then, and the run that it should equal."""

    expected: Callable | str  # model -> Trace, or the beginning of the message
    edit: Callable[[dict[str, Area]], Typed] | None = None  # whole areas by name -> what is typed
    prompt: str | None = PROMPT
    token_ids: tuple[int, ...] | None = None
    max_tokens: int | None = None  # FULL: no more than the prompt has
    tiny: bool = True
    saved: bool = False  # by openpyxl after the edit, as a user's script does


def run(prompt: str):
    return lambda model: model.run(prompt)


def words(*typed: str | None):
    """The first rows of the tab of words are typed, the others of the layout emptied."""

    def edit(areas) -> Typed:
        rows = range(areas["words"].rows)
        return {address_in(areas["words"], row, 0): typed[row] if row < len(typed) else None for row in rows}

    return edit


def with_override(name: str, row: int, column: int, value: float):
    def expected(model):
        base = model.run(PROMPT)
        matrix = np.array(model.weights[name] if name in model.weights else base.array(name))
        matrix[row, column] = value
        return model.run(PROMPT, overrides={name: matrix})

    return expected


def edit_cell(name: str, row: int, column: int, value: float):
    return lambda areas: {address_in(areas[name], row, column): value}


def with_token_id(model):
    ids = model.run(PROMPT).token_ids
    return model.run(token_ids=[*ids[:2], 400, *ids[3:]])


def word_cell(row: int, column: int, value):
    return lambda _areas: {("words", cell(FIRST_WORD - 1 + row, column - 1)): value}


WARM = PROMPT.replace("quick", "warm")
MORE = PROMPT + " quickly. Anna is"
ODD = "It's =1+1, \"a\"  <b> & 'c'!"
ATTENTION = "model_h0_attn_c_attn_w"
CASES = {
    # the embedded model, as written and edited
    "unchanged": Case(run(PROMPT), tiny=False),
    "longest": Case(run(LONGEST), prompt=LONGEST, max_tokens=FULL, tiny=False),
    "another_word": Case(run(WARM), words(*cut(WARM)), tiny=False),
    "shorter": Case(run("Mike is"), words("Mike", " is"), tiny=False),
    "longer": Case(run(MORE), words(*cut(MORE)), tiny=False),
    "token_id": Case(with_token_id, edit_cell("token_ids", 0, 2, 400), tiny=False),
    "weight": Case(with_override(ATTENTION, 5, 7, 1.5), edit_cell(ATTENTION, 5, 7, 1.5), tiny=False),
    "attention": Case(with_override("block_0_step_7", 5, 2, 0.9), edit_cell("block_0_step_7", 5, 2, 0.9), tiny=False),
    # a tiny model
    "one_token": Case(run("Mike"), prompt="Mike"),
    "ids_only": Case(lambda model: model.run(token_ids=[5, 200, 77]), prompt=None, token_ids=(5, 200, 77)),
    "foreign": Case(run("Mike is né. He moves"), prompt="Mike is né. He moves", max_tokens=12),
    "punctuation": Case(run(ODD), prompt=ODD, max_tokens=FULL),
    "unknown_word": Case(run("Zygmunt is quick"), words("Zygmunt", " is", " quick"), saved=True),
    "numbers": Case(run("Mike is 7"), words("Mike", " is", " 7")),
    "embedding": Case(with_override("model_wte", 258, 3, -2.0), edit_cell("model_wte", 258, 3, -2.0)),
    # what can't be read is told, and nothing is predicted
    "too_long": Case("Word 1: it has 13 characters", words("Abcdefghijklm", " is")),
    "not_ascii": Case("Word 2: it holds a character outside", words("Mike", " né")),
    "two_words": Case("Word 1: GPT-2 reads this as several", words("Mike is", " quick")),
    "torn_word": Case("Word 2: GPT-2 cuts this and the word above", words("Mi", "ke")),
    "no_space": Case("Word 2: GPT-2 cuts this and the word above", words("Mike", "slow")),
    "quote": Case("Word 2: it holds an autocorrected quote", words("Mike", "\u2019s")),
    "double_quote": Case("Word 1: it holds an autocorrected quote", words("\u201cMike")),
    "dots": Case("Word 3: it holds autocorrected dots", words("Mike", " is", "\u2026")),
    "dash": Case("Word 2: it holds an autocorrected dash", words("Mike", " \u2013")),
    "gap": Case("Word 2: this row is empty", words("Mike", None, " is")),
    "no_words": Case("", words()),
    "too_many": Case("The prompt has 14 tokens and this sheet holds 10", words(" zzzz", " zzzz", *[" is"] * 4)),
    "beyond": Case("This sheet holds 10 words", word_cell(TINY_ROOM, 2, " is")),
    "bad_id": Case("Word 1: a token id is a whole number", word_cell(0, 5, 280)),
}


@pytest.fixture(scope="module")
def recalculated(model, tiny, tmp_path_factory, recalculate):
    """Name of the case -> its workbook, recalculated."""
    folder, written = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("written")
    files: dict[tuple, Path] = {}  # several cases begin with one
    for name, case in CASES.items():
        key = case.tiny, case.prompt, case.token_ids, case.max_tokens
        if key not in files:
            files[key] = write_case(case, tiny if case.tiny else model, written / f"{name}.xlsx")
        edit_case(case, files[key], folder / f"{name}.xlsx")
    return dict(zip(CASES, recalculate(*(folder / f"{name}.xlsx" for name in CASES)), strict=True))


def write_case(case: Case, model, path: Path) -> Path:
    trace = model.run(case.prompt, token_ids=case.token_ids)
    max_tokens = len(trace.token_ids) if case.max_tokens == FULL else case.max_tokens
    with pytest.MonkeyPatch.context() as patch:
        if case.tiny:
            patch.setattr(live_plan, "LONGEST_WORD", TINY_WORD)
            patch.setattr(live_plan, "FEWEST_TOKENS", TINY_ROOM)
        return write_live_workbook(trace, path, max_tokens=max_tokens)


def edit_case(case: Case, path: Path, copy: Path) -> None:
    """A copy with the edit; no formula has a right value in it."""
    typed = case.edit(whole_areas(path)) if case.edit else {}
    if not typed:
        shutil.copy(path, copy)
        spoil(copy)
    elif case.saved:
        shutil.copy(path, copy)
        set_cells(copy, {f"{tab}!{address}": value for (tab, address), value in typed.items()})
    else:
        with_typed(path, copy, typed)


@pytest.mark.office
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not isinstance(case.expected, str)])
def test_every_stage_equals_the_run_when_recalculated(name, model, tiny, recalculated):
    trace, path = CASES[name].expected(tiny if CASES[name].tiny else model), recalculated[name]
    assert differences(path, trace) == {}
    assert predicted(path) == trace.predicted_token
    found = Workbook(path)
    assert stage(found, "token_ids").ravel().tolist() == trace.token_ids
    assert message(path) == ""


@pytest.mark.office
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if isinstance(case.expected, str)])
def test_what_the_sheet_cannot_read_is_told_and_nothing_is_predicted(name, recalculated):
    path = recalculated[name]
    assert message(path).startswith(CASES[name].expected)
    assert bool(message(path)) == bool(CASES[name].expected)
    assert predicted(path) == ""
    book = openpyxl.load_workbook(path, data_only=True)
    for empty in ("block_0_step_3", "block_0_step_16", "logits"):
        area = place(book, empty)
        block = book[area.tab].iter_rows(
            area.row + 1, area.row + area.rows, area.column + 1, area.column + area.columns
        )
        assert {cell.value for row in block for cell in row} <= {None, ""}
    told = next(row[2].value for row in book["index"].iter_rows() if row[1].value == "Message")
    assert told == (message(path) or "Type at least one word on the tab words")


@pytest.mark.office
def test_rows_beyond_the_prompt_are_empty(recalculated):
    book = openpyxl.load_workbook(recalculated["unchanged"], data_only=True)
    for name in ("token_embeddings", "triangle_matrix", "block_0_step_6", "block_0_step_7", "block_1_step_13"):
        area = place(book, name)
        rows = book[area.tab].iter_rows(area.row + 7, area.row + area.rows, 1, area.column + area.columns)
        assert {cell.value for row in rows for cell in row} <= {None, ""}, name


@pytest.mark.office
def test_merge_passes_are_the_run_s_own(model, tiny, recalculated):
    for name in ("unchanged", "another_word", "longer", "unknown_word", "numbers", "punctuation"):
        case, source = CASES[name], WorkbookSide(recalculated[name])
        expected = case.expected(tiny if case.tiny else model)
        for table in ("separated_into_words", "prompt_to_tokens"):
            found = [["" if one is None else one for one in row] for row in source.table(table)]
            assert found == expected.text_table(table), name


@pytest.mark.office
def test_the_ten_best_tokens_are_in_order_with_their_probabilities(model, recalculated):
    for name in ("unchanged", "weight"):
        best, rows = CASES[name].expected(model).predictions(10), tab(recalculated[name], "head")
        first = next(i for i, row in enumerate(rows) if row[0] == "best_tokens") + 2
        for one, row in zip(best, rows[first:], strict=False):
            assert row[:3] == [one.rank, one.token, one.id]
            assert row[3:5] == pytest.approx([one.logit, one.probability], rel=1e-9)


def prediction_beside_words(path: Path) -> tuple[list, list[list]]:
    """(the predicted token and its probability, the best tokens' [probability, token]) on the tab words."""
    rows = tab(path, "words")
    at = rows[1].index("predicted token")
    assert rows[FIRST_WORD - 2][at : at + 2] == ["probability", "the best tokens"]
    return [rows[1][at + 1], rows[2][at + 1]], [row[at : at + 2] for row in rows[FIRST_WORD - 1 :][:10]]


def require_prediction(path: Path, trace) -> None:
    best = trace.predictions(10)
    (token, probability), table = prediction_beside_words(path)
    assert token == trace.predicted_token
    assert probability == pytest.approx(best[0].probability, rel=1e-9)
    assert [row[1] for row in table] == [one.token for one in best]
    assert [row[0] for row in table] == pytest.approx([one.probability for one in best], rel=1e-9)


def test_the_prediction_stands_beside_the_words(model, file):
    require_prediction(file, model.run(PROMPT))


@pytest.mark.office
def test_the_prediction_beside_the_words_follows_them(model, tiny, recalculated):
    for name in ("another_word", "weight", "unknown_word"):
        require_prediction(recalculated[name], CASES[name].expected(tiny if CASES[name].tiny else model))
    told, table = prediction_beside_words(recalculated["torn_word"])
    assert {*told, *(one for row in table for one in row)} == {""}


@pytest.mark.office
def test_probabilities_and_ranks_stand_beside_the_logits(model, recalculated):
    rows = {int(row[0]): row for row in by_id(recalculated["unchanged"])}
    for one in model.run(PROMPT).predictions(model.config.n_vocab):
        assert rows[one.id][1] == one.token
        assert rows[one.id][2:5] == pytest.approx([one.logit, one.probability, one.rank], rel=1e-9)


def by_id(path: Path) -> list[list]:
    """The rows of the logits, which stand below the best ones under the same names."""
    rows = tab(path, "logits")
    first = max(i for i, row in enumerate(rows) if row[0] == "id") + 1
    return rows[first:]


def ranks(path: Path) -> dict[int, int]:
    """Token id -> its rank, where the tab of the logits has one."""
    return {int(row[0]): int(row[4]) for row in by_id(path) if row[4] != ""}


def with_equal_rows(file: Path) -> None:
    """Each seven tokens get equal embeddings, and so equal logits: the tenth best is one of several."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[:] = [lines[i - i % 7] for i in range(len(lines))]
    file.write_text("".join(lines), encoding="utf-8")


@pytest.mark.office
def test_of_a_large_vocabulary_the_ten_best_tokens_have_ranks_and_equals_are_ranked_by_id(tmp_path, recalculate):
    files, traces = [], {}
    for name, n_vocab in (("large", ALL_RANKS + 1), ("small", ALL_RANKS)):
        write_random_model(tmp_path / name, Config(1, 2, 6, 12, n_vocab))
        with_equal_rows(tmp_path / name / "model_wte.csv")
        model = load_model(tmp_path / name)
        path = write_live_workbook(model.run(token_ids=[3, 1, 4]), tmp_path / f"{name} written.xlsx", max_tokens=5)
        ids = whole_areas(path)["token_ids"]
        typed = {address_in(ids, 0, position): token_id for position, token_id in enumerate((7, 50, 3, 100))}
        files.append(with_typed(path, tmp_path / f"{name}.xlsx", typed))
        traces[name] = model.run(token_ids=[7, 50, 3, 100])
    for name, path in zip(traces, recalculate(*files), strict=True):
        assert differences(path, traces[name], ["logits"]) == {}
        order = np.argsort(-stage(Workbook(path), "logits").ravel(), kind="stable")[: 10 if name == "large" else None]
        assert ranks(path) == {token_id: rank for rank, token_id in enumerate(order.tolist(), start=1)}


# ------------------------------------------------------------------------------------------------ other models


@pytest.mark.office
def test_models_of_other_shapes_and_positions_and_single_blocks_are_live_too(tmp_path, recalculate):
    expected = {}
    variants = {
        "small": (SMALL, {}, None),
        "odd": (ODD_HEADS, {"untied": True}, None),
        "rotary": (replace(SMALL, position="rotary"), {}, None),
        "sinusoidal": (replace(SMALL, position="sinusoidal"), {}, None),
        "middle": (ODD_HEADS, {}, range(1, 2)),
        "two": (ODD_HEADS, {}, range(2)),
        **{rung: (replace(ONE_BLOCK, model=rung), {}, None) for rung in ("softmax", "bigram", "mlp", "attention")},
    }
    for name, (config, options, blocks) in variants.items():
        write_random_model(tmp_path / name, config, **options)
        model = load_model(tmp_path / name)
        expected[name] = model.run(token_ids=random_ids(config, 5))
        path = write_live_workbook(expected[name], tmp_path / f"{name}.xlsx", max_tokens=7, blocks=blocks)
        spoil(path)
    paths = recalculate(*(tmp_path / f"{name}.xlsx" for name in variants))
    for (name, (_, _, blocks)), path in zip(variants.items(), paths, strict=True):
        trace = expected[name]
        shown = [one for one in trace if blocks is None or trace.step(one).block in blocks or one == "triangle_matrix"]
        assert len(shown) == (len(trace) if blocks is None else 18 * len(blocks) + 1)
        assert differences(path, trace, shown) == {}, name


MISTAKES = {
    "variance": (ops.Normalize, "VARP", "VAR"),
    "root": (ops.AttentionScores, "/SQRT(", "/("),
    "mask": (ops.CausalMask, ">", ">="),
}


@pytest.mark.office
def test_one_broken_operation_breaks_the_whole_model_from_its_first_stage_on(tiny, tmp_path, recalculate, monkeypatch):
    trace, first = (
        tiny.run(PROMPT),
        {"variance": "block_0_step_2", "root": "block_0_step_6", "mask": "triangle_matrix"},
    )
    for name, (op, right, wrong) in MISTAKES.items():
        with monkeypatch.context() as patch:
            formula = op.formula
            patch.setattr(op, "formula", lambda *a, f=formula, r=right, w=wrong: f(*a).replace(r, w))
            write_case(Case(run(PROMPT)), tiny, tmp_path / f"{name}.xlsx")
    for name, path in zip(MISTAKES, recalculate(*(tmp_path / f"{name}.xlsx" for name in MISTAKES)), strict=True):
        wrong = differences(path, trace)
        assert next(iter(wrong)) == first[name]
        assert "logits" in wrong


# ------------------------------------------------------------------------------------------------ words

ALPHABET = ["a", "Z", "s", "t", "re", "ll", "d", "1", "42", "'", ".", "!", " ", " ", "'s", "'ll", "="]


def word_lists(count: int) -> list[list[str]]:
    """Texts as GPT-2 cuts them, and the same texts cut anywhere."""
    rng, found = np.random.default_rng(3), []
    while len(found) < count:
        pieces = rng.choice(ALPHABET, rng.integers(1, 9)).tolist()
        text = "".join(pieces)
        found.append(cut(text) if len(found) % 3 == 0 else [one for one in pieces if one])
        if len(found) % 3 == 2 and len(pieces) > 2:
            at = sorted(rng.choice(range(1, len(text)), min(2, len(text) - 1), replace=False).tolist())
            found[-1] = [text[i:j] for i, j in zip([0, *at], [*at, len(text)], strict=True)]
    return found


@pytest.mark.office
def test_the_words_tab_accepts_exactly_the_words_that_gpt2_would_cut(model, tmp_path, recalculate):
    lists, longest, room = word_lists(240), 12, 9
    book = Book("words")
    book.add_tab("words")
    for name, refers_to in constants(plan(model.run(PROMPT))).items():
        book.define(name, refers_to)
    for number, words in enumerate(lists):
        area = Area("words", number * (room + 1), 1, room, 1)
        for i in range(room):
            row = WordRow(area, i, longest)
            if i < len(words):
                book.text("words", row.row, 1, words[i])
            book.formula("words", row.row, 3, row.message_formula(), "cached")
            book.formula("words", row.row, 4 + longest, row.body_formula(), 0)
            book.formula("words", row.row, 5 + longest, row.kind_formula(), "cached")
            book.formula("words", row.row, 6 + longest, row.check_formula(653), "cached")
    book.save(tmp_path / "words.xlsx")
    rows = tab(recalculate(tmp_path / "words.xlsx"), "words")
    for number, words in enumerate(lists):
        told = [row[3] for row in rows[number * (room + 1) :][:room]]
        assert (told == [""] * room) == (cut("".join(words)) == words), (words, told)


# ------------------------------------------------------------------------------------------------ the file as written


@pytest.fixture(scope="module")
def file(embedded_book) -> Path:
    return embedded_book(formulas=True)


@pytest.fixture(scope="module")
def written(file):
    """The file as openpyxl reads it, formulas as formulas."""
    return openpyxl.load_workbook(file)


def test_cached_values_are_the_run_s_own_so_that_readers_that_do_not_calculate_see_them(model, file):
    trace = model.run(PROMPT)
    assert differences(file, trace) == {}
    assert predicted(file) == trace.predicted_token
    book = openpyxl.load_workbook(file, data_only=True)
    assert [book["embeddings"].cell(6, 3 + i).value for i in range(6)] == trace.tokens


def test_formulas_read_like_the_pipeline(written):
    def formula(name: str) -> str:
        area = place(written, name)
        return written[area.tab].cell(area.row + 1, area.column + 1).value.text

    assert formula("block_0_step_4") == (
        '=IF(used,MMULT(block_0_step_3,model_h0_attn_c_attn_w)+model_h0_attn_c_attn_b,"")'
    )
    assert formula("block_1_step_8") == '=IF(used,MMULT(block_1_step_7_head_0,block_1_step_5_values_head_0),"")'
    assert formula("block_0_step_10") == '=IF(used,block_0_step_9+block_0_step_1,"")'
    assert formula("logits") == '=IF(n_tokens=0,"",MMULT(model_wte,TRANSPOSE(predicted_embedding)))'


def test_no_formula_needs_more_than_libreoffice_and_excel_2016_have(file):
    with ZipFile(file) as archive:
        text = b"".join(archive.read(name) for name in archive.namelist() if "sheet" in name).decode()
    used = set(re.findall(r"([A-Z][A-Z.]+)\(", " ".join(re.findall(r"<f[^>]*>([^<]*)</f>", text))))
    assert used <= set(
        "IF AND OR MMULT TRANSPOSE SUM SUMPRODUCT AVERAGE VARP SQRT EXP TANH PI MAX INDEX MATCH EXACT LEFT MID LEN "
        "FIND SUBSTITUTE COUNT COUNTA ISNUMBER ISERROR IFERROR INT COLUMN LARGE SMALL RANK ADDRESS MIN MOD ROW "
        "RAND".split()
    )
    assert "_xlfn" not in text


def test_every_formula_is_an_array_formula_as_changes_would_stop_at_plain_ones_in_libreoffice(file):
    with ZipFile(file) as archive:
        text = b"".join(archive.read(name) for name in archive.namelist() if "sheet" in name)
    assert text.count(b"<f ") == text.count(b'<f t="array" ref="') > 10_000
    assert b"<f>" not in text


def test_every_stage_and_every_weight_has_its_name(model, file, written):
    found = set(written.defined_names)
    assert set(model.run(PROMPT)) | set(model.weights) | {"words", "tokens", "token_ids", "positions"} <= found
    scores = dict(name_texts(file))["block_0_step_7"]
    assert [area.columns for area in areas_of(scores, {"n_tokens": 2})] == [2] * model.config.n_head


def test_the_first_tab_says_in_five_lines_how_to_play(file):
    rows = tab(file, "index")
    lines = [row[5] for row in rows[:12] if isinstance(row[5], str) and row[5]]
    assert [line[:2] for line in lines] == ["1.", "2.", "3.", "4.", "5."]
    facts = {row[1]: row[2] for row in rows[:12]}
    assert facts["Prompt"] == PROMPT
    assert facts["Predicted token"] == " quickly"
    assert facts["Message"] == "ready"


def test_the_same_run_gives_the_same_bytes(model, file, tmp_path):
    again = model.run(PROMPT).to_excel(tmp_path / "x.xlsx", formulas=True)
    assert again.read_bytes() == file.read_bytes()


def test_our_own_diff_reads_it(model, file, tmp_path):
    from click.testing import CliRunner

    from sheetgpt.cli import cli

    model.run(PROMPT).to_csv(tmp_path / "run")
    done = CliRunner().invoke(cli, ["diff", str(file), str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "No stage diverges" in done.output


STRANGE = [
    "1 0041 1e5 nan inf -inf NaN",
    "TRUE #N/A =1+1 'x @a +1 -1",
    'new "q" <b>&amp; _x0041_ ~',
    "\u00fc \U0001f600 na\u00efve",
    "a\tb\nc",
    "\n",
    "bell \x07 and \x7f",
    "  a   b ",
]


@pytest.fixture(scope="module")
def strange(tiny, tmp_path_factory):
    """A live workbook of each strange prompt."""
    folder = tmp_path_factory.mktemp("strange")
    return [write_case(Case(run(text), prompt=text), tiny, folder / f"{i}.xlsx") for i, text in enumerate(STRANGE)]


def require_equal(model, prompt: str, path: Path) -> None:
    """The workbook has the run's own words, merges, tokens and numbers; merges where formulas can follow the words."""
    report = diff(RunSide(model.run(prompt)), open_side(str(path)))
    assert report.equal, report.first
    lacking = {stage.stage for stage in report.missing if not stage.stage.startswith("model_")}
    assert lacking == (set() if prompt.isascii() and prompt.isprintable() else {"prompt_to_tokens"})


@pytest.mark.parametrize("number", range(len(STRANGE)))
def test_words_that_look_like_something_else_are_words(tiny, strange, number):
    require_equal(tiny, STRANGE[number], strange[number])
    with ZipFile(strange[number]) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/sheet"):
                untyped = re.findall(rb'<c r="[A-Z]+\d+"(?: s="\d+")?>(?:<f.*?</f>)?<v>(.*?)</v>', archive.read(name))
                assert all(re.fullmatch(rb"-?\d+(\.\d+)?(e[+-]?\d+)?", text, re.IGNORECASE) for text in untyped), name


@pytest.mark.office
def test_they_are_words_for_libreoffice_too(tiny, strange, tmp_path, recalculate):
    copies = [tmp_path / path.name for path in strange]
    for path, copy in zip(strange, copies, strict=True):
        shutil.copy(path, copy)
    for prompt, path in zip(STRANGE, recalculate(*copies), strict=True):
        require_equal(tiny, prompt, path)


def test_a_layout_that_cannot_be_is_refused_in_one_line(model, tmp_path):
    trace = model.run(PROMPT)
    with pytest.raises(DumpError, match="--max-tokens 5: choose 6, the tokens of the prompt"):
        plan(trace, max_tokens=5)
    with pytest.raises(DumpError, match="to 64, the model's context"):
        plan(trace, max_tokens=65)
    write_random_model(tmp_path, replace(ONE_BLOCK, model="bigram"))
    bigram = load_model(tmp_path)
    with pytest.raises(DumpError, match="a bigram has no blocks"):
        plan(bigram.run(token_ids=[1]), blocks=range(1))
    with pytest.raises(DumpError, match="a live workbook predicts itself: set the logits instead"):
        plan(model.run(PROMPT, overrides={"predicted_token": trace.array("predicted_token")}))


TALL, WIDE = Config(1, 1, 2, 9, MAX_ROWS), Config(1, 2, 4, 9_000, 17)


@pytest.mark.parametrize(
    ("config", "max_tokens", "what"),
    [
        (TALL, 9, "logits ends at row"),
        (WIDE, 8_192, "block_0_step_6 is wider than a sheet"),
    ],
)
def test_what_a_sheet_cannot_hold_is_refused_before_anything_is_written(config, max_tokens, what):
    weights = {name: np.zeros(shape) for name, shape in matrix_shapes(config).items()}
    trace = Model(Weights(weights, config, Path(), "float64"), None).run(token_ids=[1])
    with pytest.raises(DumpError, match=what):
        plan(trace, max_tokens=max_tokens)


@pytest.mark.parametrize("text", ["", "x", "2", "1-0", "-1", "0-2", "0-1-2"])
def test_blocks_that_are_none_are_refused(text):
    with pytest.raises(DumpError, match="--blocks"):
        parse_blocks(text, 2)


def test_a_run_without_weights_is_refused(model, tmp_path):
    with pytest.raises(DumpError, match="a live workbook needs the run's weights"):
        replace(model.run(PROMPT), weights=None).to_excel(tmp_path / "x.xlsx", formulas=True)


def test_the_size_is_told_before(model):
    assert str(plan(model.run(PROMPT)).size).startswith("live workbook for up to 12 tokens: 1")
    assert str(Size(124_439_808, 640_000, 12)) == (
        "live workbook for up to 12 tokens: 124,439,808 weights and 640,000 cells of formulas, about 801 MB, "
        "about 63 s to write; LibreOffice takes about 125 s and 4.0 GB of memory to open it"
    )


# ------------------------------------------------------------------------------------------------ what it looks like


def fill_of(cell) -> str:
    return cell.fill.start_color.rgb[-6:] if cell.fill.fill_type else "FFFFFF"


def test_the_legend_s_colours_are_those_of_the_tabs_and_of_the_cells_on_them(model, written):
    book = written
    kinds = ("input", "parameter", "formula")
    legend = {row[1].value: fill_of(row[1]) for row in book["index"].iter_rows(1, 15) if row[1].value in kinds}
    tabs = {sheet.title: sheet.sheet_properties.tabColor.rgb[-6:] for sheet in book}
    assert tabs["words"] == legend["input"] == fill_of(book["words"].cell(FIRST_WORD, 2))
    for name in model.weights:
        area = place(book, name)
        assert tabs[area.tab] == legend["parameter"] == fill_of(book[area.tab].cell(area.row + 1, area.column + 1))
    assert tabs["vocab_bpe"] == tabs["id_to_tokens"] == legend["parameter"]
    for name in ("token_embeddings", "block_0_step_3", "block_1_step_7", "logits"):
        area = place(book, name)
        assert tabs[area.tab] == legend["formula"] == fill_of(book[area.tab].cell(area.row + 1, area.column + 1))
    assert len({*legend.values()} - {"FFFFFF"}) == 3


def test_rows_that_are_not_in_use_turn_white(written):
    book = written
    for name in ("token_embeddings", "block_0_step_3", "block_1_step_7"):
        area = place(book, name)
        first = Area(area.tab, area.row, area.column, 1, 1).range()
        rules = [
            rule.formula[0]
            for ranges in book[area.tab].conditional_formatting
            if str(ranges.sqref).startswith(f"{first}:")
            for rule in ranges.rules
            if rule.type == "expression" and rule.dxf.fill is not None
        ]
        assert len(rules) == 1
        assert f'$A{area.row + 1}=""' in rules[0]


def messages_of(recalculated, name: str) -> list[str]:
    return [row[3] for row in tab(recalculated[name], "words")[FIRST_WORD - 1 :][:TINY_ROOM]]


@pytest.mark.office
@pytest.mark.parametrize(
    ("name", "row", "says"),
    [
        ("no_space", 1, "put a space before it: ' slow'"),
        ("quote", 1, "autocorrected quote"),
        ("double_quote", 0, "autocorrected quote"),
        ("dots", 2, "autocorrected dots"),
        ("dash", 1, "autocorrected dash"),
    ],
)
def test_a_message_says_what_to_type(recalculated, name, row, says):
    assert says in messages_of(recalculated, name)[row]


def test_messages_are_in_another_colour_than_ready_and_fit_their_cells(written):
    index, words = written["index"], written["words"]
    found = next(row[2] for row in index.iter_rows() if row[1].value == "Message")
    rules = [
        rule
        for ranges in index.conditional_formatting
        if str(ranges.sqref) == found.coordinate
        for rule in ranges.rules
    ]
    assert [rule.formula for rule in rules] == [['"ready"']]
    assert rules[0].dxf.font.color.rgb[-6:] != found.font.color.rgb[-6:]
    message = words.cell(FIRST_WORD, 4)
    assert message.alignment.wrap_text
    longest = max(len(text) for text in re.findall(r'"((?:it|GPT-2|this) [^"]+)"', message.value.text))
    assert longest <= 2 * words.column_dimensions["D"].width
