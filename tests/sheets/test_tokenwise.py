"""Live workbooks of large models: formulas read their own token and those before it, and give what `run` does.

The embedded model and small ones are written as very large ones are. One that is: `test_whole.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from conftest import libreoffice
from engines import with_typed
from live_books import address_in, differences, predicted, spoil, whole_areas
from models import ODD_HEADS, ONE_BLOCK, SMALL, random_ids, write_model_with_words, write_random_model
from office import session
from sheetgpt.bpe.words import cut
from sheetgpt.model import load_model
from sheetgpt.models.step import Axis
from sheetgpt.sheets.live import plan as live_plan
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.write import writer_of
from sheetgpt.sheets.live.writer import Writer
from sheetgpt.workbook import tokenwise
from sheetgpt.workbook.grid import Area, parse_range
from sheetgpt.workbook.reading.names import name_texts
from sheetgpt.workbook.reading.open import Workbook

PROMPT = "Mike is quick. He moves"
ATTENTION, WEIGHTS = "model_h0_attn_c_attn_w", "block_0_step_7"


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def writer(model) -> Writer:
    """The embedded model's, its logits in blocks of 100 rows."""
    return writer_of(plan(model.run(PROMPT), by_token=True))


@pytest.fixture(scope="module")
def file(writer, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenwise, "ROWS_IN_A_BLOCK", 100)
        return writer.write(tmp_path_factory.mktemp("tokenwise") / "x.xlsx")


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


def test_only_where_there_is_much_to_compute(model, monkeypatch):
    trace = model.run(PROMPT)
    assert not plan(trace).by_token
    assert not plan(trace, portable=True, by_token=None).by_token
    monkeypatch.setattr(live_plan, "MANY_CELLS", plan(trace).size.cells)
    assert plan(trace).by_token
    assert not plan(trace, portable=True).by_token


@pytest.mark.office
def test_every_stage_is_the_run_s_after_any_change(model, file, tmp_path, recalculate):
    areas = whole_areas(file)
    prompts = (PROMPT, PROMPT.replace("moves", "runs"), "Mike is", f"{PROMPT} quickly. Anna is", "She")
    cases = {prompt: (model.run(prompt), typed(areas, prompt)) for prompt in prompts}
    for cell in ((ATTENTION, 5, 7, 1.5), (WEIGHTS, 5, 2, 0.9)):
        cases[cell[0]] = changed(model, *cell), {address_in(areas[cell[0]], *cell[1:3]): cell[3]}
    files = [with_typed(file, tmp_path / f"{i}.xlsx", edit) for i, (_, edit) in enumerate(cases.values())]
    for name, path in zip(cases, recalculate(*files), strict=True):
        trace, _ = cases[name]
        assert differences(path, trace) == {}, name
        assert predicted(path) == trace.predicted_token


@pytest.mark.office
def test_models_of_all_kinds_single_blocks_and_set_cells_too(model, tmp_path, recalculate):
    traces, variants = {}, {
        "odd": (ODD_HEADS, {"untied": True}, None),
        "rotary": (replace(SMALL, position="rotary"), {}, None),
        "sinusoidal": (replace(SMALL, position="sinusoidal"), {}, None),
        "two": (ODD_HEADS, {}, range(2)),
        **{rung: (replace(ONE_BLOCK, model=rung), {}, None) for rung in ("softmax", "bigram", "mlp", "attention")},
    }  # fmt: skip
    for name, (config, options, blocks) in variants.items():
        write_random_model(tmp_path / name, config, **options)
        traces[name] = load_model(tmp_path / name).run(token_ids=random_ids(config, 5))
        writer_of(plan(traces[name], max_tokens=7, blocks=blocks, by_token=True)).write(tmp_path / f"{name}.xlsx")
    for name in ("block_0_step_4", "block_1_step_6", "block_1_step_8", "logits"):
        traces[name] = changed(model, name, 1, 0, 0.25)
        writer_of(plan(traces[name], by_token=True)).write(tmp_path / f"{name}.xlsx")
    for name in traces:
        spoil(tmp_path / f"{name}.xlsx")
    for name, path in zip(traces, recalculate(*(tmp_path / f"{name}.xlsx" for name in traces)), strict=True):
        blocks = variants[name][2] if name in variants else None
        shown = [one for one in traces[name] if blocks is None or traces[name].step(one).block in blocks]
        assert differences(path, traces[name], shown) == {}, name


WRONG = {
    "of the last": (5, "quick", "Word 6: GPT-2 cuts this and the word above"),
    "of the third": (2, " n\u00e9", "Word 3: it holds a character outside"),
    "of the first": (0, "Abcdefghijklmno", "Word 1: it has 15 characters"),
    "a gap": (3, None, "Word 4: this row is empty"),
}


@pytest.mark.office
def test_a_wrong_word_is_told_nothing_is_predicted_and_what_stands_before_it_stays(model, file, tmp_path, recalculate):
    areas, trace = whole_areas(file), model.run(PROMPT)
    files = [
        with_typed(file, tmp_path / f"{row}.xlsx", {address_in(areas["words"], row, 0): text})
        for row, text, _ in WRONG.values()
    ]
    for path, (row, _, message) in zip(recalculate(*files), WRONG.values(), strict=True):
        found = Workbook(path)
        assert found.part([Area("words", 1, 1, 1, 1)])[1][0, 0].startswith(message)
        assert predicted(path) == ""
        for name in ("block_1_step_4", "block_1_step_16"):
            numbers = found.part([areas[name].part(rows=6)])[0]
            assert np.allclose(numbers[:row], trace.array(name)[:row], atol=1e-9)
            assert np.isnan(numbers[row:]).all(), (row, name)


# ------------------------------------------------------------------------------------------------ right after opening


@pytest.mark.office
def test_opened_and_changed_at_once_the_first_tab_and_the_tab_of_words_show_the_new_prediction(model, file):
    """Nothing has been computed before: what shows the old prediction there stands in the file."""
    areas, shown = whole_areas(file), [("index", "C6"), ("index", "C7"), *beside_words(file)]
    other = PROMPT.replace("moves", "runs")
    cases = {
        "a word": ((*address_in(areas["words"], 5, 0), " runs"), model.run(other)),
        "a weight": ((*address_in(areas["model_wte"], 258, 3), -2.0), changed(model, "model_wte", 258, 3, -2.0)),
        "an attention": ((*address_in(areas[WEIGHTS], 5, 2), 0.9), changed(model, WEIGHTS, 5, 2, 0.9)),
    }
    for name, ((tab, at, value), trace) in cases.items():
        done = session(libreoffice(), file, [((tab, at), value)], shown, timeout=300, recalculated=False)
        for texts, run in zip(done.shown, (model.run(PROMPT), trace), strict=True):
            best = run.predictions(1)[0]
            assert texts[0::2] == [best.token] * 2, name
            percent = [float(text.rstrip("%")) for text in texts[1::2]]
            assert percent == pytest.approx([100 * best.probability] * 2, abs=0.01), name


@pytest.mark.office
def test_a_weight_deleted_right_after_opening_is_named_on_the_first_tab(model, file):
    tab, at = address_in(whole_areas(file)["model_wte"], 258, 3)
    done = session(libreoffice(), file, [((tab, at), "")], [("index", "C5")], timeout=300, recalculated=False)
    assert done.shown == [["ready"], [f"model_wte: {tab}!{at} holds no number: type one there"]]


def beside_words(file: Path) -> list[tuple[str, str]]:
    """The cells of the tab of words that show the predicted token and its probability."""
    sheet = sheets(file)["words"]
    found = re.search(r'<c r="([A-Z]+)2"[^>]*><f>IF\(watch=0,', sheet.partition('<row r="2"')[2])
    return [("words", f"{found[1]}2"), ("words", f"{found[1]}3")]


def sheets(file: Path) -> dict[str, str]:
    """The XML of each tab."""
    with ZipFile(file) as archive:
        names = re.findall(r'<sheet name="([^"]+)"', archive.read("xl/workbook.xml").decode())
        files = (f"xl/worksheets/sheet{number}.xml" for number in range(1, len(names) + 1))
        return {name: archive.read(file).decode() for name, file in zip(names, files, strict=True)}


def charted(file: Path) -> set[str]:
    with ZipFile(file) as archive:
        charts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/charts/chart")]
    return {unescape(text) for chart in charts for text in re.findall(r"<c:f>([^<]+)</c:f>", chart)}


def test_what_is_shown_on_opening_stands_in_the_file_as_plain_formulas(file):
    tabs = sheets(file)
    assert "<f>" in tabs["index"]
    assert 't="array"' not in tabs["index"]
    arrays = {tab: set(re.findall(r'<c r="([A-Z]+[0-9]+)"[^>]*><f t="array"', text)) for tab, text in tabs.items()}
    assert charted(file)
    for place in charted(file):
        area = parse_range(place.rpartition("!")[2], place.rpartition("!")[0].strip("'"))
        cells = {address_in(area, i, j)[1] for i in range(area.rows) for j in range(area.columns)}
        assert not cells & arrays[area.tab], place


# ------------------------------------------------------------------------------------------------ what follows what

FORMULA = re.compile(r'<c r="([A-Z]+[0-9]+)"[^>]*><f(?: t="array" ref="([^"]+)")?>([^<]*)</f>')
ONE = r"\$?[A-Z]{1,3}\$?[0-9]+"
CELLS = re.compile(rf"(?:('(?:[^']|'')+'|[^\W\d][\w.]*)!)?({ONE}(?::{ONE})?)(?![\w(.])")
TEXTS = re.compile(r'"(?:[^"]|"")*"')


@dataclass
class Graph:
    """Every formula of a workbook: the cells it fills, and what it names, directly or through defined names."""

    fills: list[Area]
    texts: list[str]
    read: np.ndarray  # [readings, 6]: formula, tab, first row, last row, first column, last column
    tabs: list[str]

    def after(self, area: Area) -> set[int]:
        """The formulas that are computed anew when a cell changes."""
        waiting, found = [area], set()
        while waiting:
            one = waiting.pop()
            (last_row, last_column), read = one.last, self.read
            meets = (read[:, 1] == self.tabs.index(one.tab)) & (read[:, 2] <= last_row) & (read[:, 3] >= one.row)
            meets &= (read[:, 4] <= last_column) & (read[:, 5] >= one.column)
            new = set(read[meets, 0].tolist()) - found
            found |= new
            waiting += [self.fills[number] for number in new]
        return found


def graph_of(file: Path) -> Graph:
    tabs, names = sheets(file), dict(name_texts(file))
    graph, read = Graph([], [], np.empty(0), list(tabs)), []
    for tab, xml in tabs.items():
        for cell, ref, escaped in FORMULA.findall(xml):
            text = TEXTS.sub("", unescape(escaped))
            for area in areas_in(text, tab, names):
                last = area.last
                read.append((len(graph.fills), graph.tabs.index(area.tab), area.row, last[0], area.column, last[1]))
            graph.fills.append(parse_range(ref or cell, tab))
            graph.texts.append(text)
    graph.read = np.array(read)
    return graph


def areas_in(text: str, tab: str, names: dict[str, str]) -> list[Area]:
    found = [
        parse_range(place.replace("$", ""), (named or tab).strip("'").replace("''", "'"))
        for named, place in CELLS.findall(text)
    ]
    for word in set(re.findall(r"(?<![!'\w.$])[A-Za-z_][\w.]*(?![\w.(!'])", text)):
        if word in names:
            found += areas_in(TEXTS.sub("", names[word]), tab, {k: v for k, v in names.items() if k != word})
    return [area for area in found if area is not None]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(a small workbook with words of its own, its writer, its graph)."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model_with_words(folder, (PROMPT + " quickly. ") * 3, n_layer=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_plan, "LONGEST_WORD", 6)
        patch.setattr(live_plan, "FEWEST_TOKENS", 9)
        writer = writer_of(plan(load_model(folder).run(PROMPT), by_token=True))
    path = writer.write(folder / "tiny.xlsx")
    return path, writer, graph_of(path)


def test_a_changed_word_leaves_all_rows_before_it_as_they_are(tiny):
    _, writer, graph = tiny
    stages = {step.name: step for step in writer.plan.steps.computed if step.rows is Axis.TOKENS}
    words, last = whole_areas(tiny[0])["words"], len(writer.trace.merges.words) - 1
    for word in (last, 2):
        after = [graph.fills[number] for number in graph.after(words.part(row=word, rows=1))]
        for name, step in stages.items():
            area = writer.places[name].area
            there = [one for one in after if one.tab == area.tab and area.row <= one.row < area.row + area.rows]
            there = [one for one in there if area.column <= one.column < area.column + area.columns]
            assert there, name  # its own row is computed anew
            if step.columns not in (Axis.KEYS, Axis.HEADS_BY_KEYS):
                assert min(one.row for one in there) == area.row + word, name
                continue
            keys = writer.plan.max_tokens  # of the rows before, only what is masked: the columns of later tokens
            seen = [one for one in there if one.row < area.row + word]
            assert all((one.column - area.column) % keys >= word for one in seen), name


def test_no_array_formula_depends_on_what_stands_in_the_file(tiny):
    """Or a change before both would never reach it."""
    _, _, graph = tiny
    leaves = [number for number, text in enumerate(graph.texts) if "watch=0" in text]
    assert len(leaves) > 100
    for number in leaves:
        assert graph.after(graph.fills[number]) <= set(leaves), graph.texts[number]


def test_every_cell_that_can_be_changed_is_watched(tiny):
    path, writer, graph = tiny
    areas, watch = whole_areas(path), dict(name_texts(path))["watch"].replace("$", "")
    [number] = [i for i, area in enumerate(graph.fills) if f"{area.tab}!{area.range()}" == watch]
    watched = areas_in(graph.texts[number], "checks", {})
    cells = [areas["words"], *writer.weights.values(), *(place.area for place in writer.places.values())]
    cells += [Area(tab, 4, 0, 1, 1) for tab in ("vocab_bpe", "id_to_tokens")] + [Area("pick", 4, 1, 1, 1)]
    for area in cells:
        inside = [one for one in watched if one.tab == area.tab and one.row <= area.row and one.column <= area.column]
        assert any(one.last[0] >= area.last[0] and one.last[1] >= area.last[1] for one in inside), area
