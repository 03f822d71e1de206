"""A stage shows itself: the frame's own labels and numbers, in well-formed HTML; and it stays the DataFrame it was."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from html_pages import read, rows
from runs_of_kinds import RUNS, run
from sheetgpt.models.step import Axis, Role
from sheetgpt.notebook import cells, stage
from sheetgpt.run.frames import Labels, to_frame

MOST = 12
NOTHING = "nothing"  # no level of the labels is left out
every_run = pytest.mark.parametrize(("kind", "how"), RUNS, ids=[" ".join([kind, *how]) for kind, how in RUNS])
HOSTILE = [
    "<script>alert(1)</script>",
    '"',
    "'",
    "\n",
    "&amp;",
    " </td>",
    "\x00",
    "\u202e",
    "a" * 300,
    "",
    "·",
    "\u2028",
]


def shown(frame):
    return read(frame._repr_html_())


def places(count: int) -> list[int | None]:
    """What of so many rows or columns is to be seen; None: a gap."""
    return [*range(count)] if count <= MOST else [*range(6), None, *range(count - 6, count)]


def spelled(text: object) -> str:
    return cells.caption(text).replace("·", " ")


def label_of(index: pd.Index, number: int | None, hidden: str = NOTHING) -> str:
    if number is None:
        return "…"
    label = index[number] if index.nlevels > 1 else (index[number],)
    return " ".join(spelled(one) for one, name in zip(label, index.names, strict=True) if name != hidden)


def agrees(text: str, value: object) -> bool:
    """Is it the number, to the last digit that is shown?"""
    if not np.isfinite(value):
        return float(text) == value or (np.isnan(value) and text == "NaN")
    exponent = Decimal(text).as_tuple().exponent
    return abs(Decimal(text) - Decimal(float(value))) <= Decimal(10) ** exponent / 2


def check_cell(cell, value):
    if isinstance(value, str) or value is None:
        assert cell.text.replace("·", " ") == spelled(value or "")
    elif "title" in cell.attributes:
        assert type(value)(cell.attributes["title"]) == value or np.isnan(value)
        assert agrees(cell.text, value)
    else:
        assert cell.text == str(value)
    assert (cell.text == "0") <= (value == 0)


def check_table(table, frame, columns: list[int], hidden: str):
    head, *body = rows(table)
    across = [None if one is None else columns[one] for one in places(len(columns))]
    assert [cell.text.replace("·", " ") for cell in head[1:]] == [
        label_of(frame.columns, one, hidden) for one in across
    ]
    values, down = frame.to_numpy(), places(len(frame))
    assert [row[0].text.replace("·", " ") for row in body] == [label_of(frame.index, one) for one in down]
    for number, row in zip(down, body, strict=True):
        for column, cell in zip(across, row[1:], strict=True):
            if None in (number, column):
                assert cell.text == "…"
            else:
                check_cell(cell, values[number, column])


# ------------------------------------------------------------------------------------------------ what is shown


@every_run
def test_every_stage_shows_the_labels_and_numbers_of_its_frame_with_a_tab_for_each_head(kind, how):
    trace = run(kind, **how)
    for name in trace:
        frame, step = trace[name], trace.step(name)
        page = shown(frame)
        tables, count = page.all("table"), frame.shape[1]
        n_head = trace.config.n_head if step.columns in (Axis.HEADS_BY_KEYS, Axis.HEADS_BY_DIMENSIONS) else 1
        seen = [*range(n_head)] if n_head <= 16 else [*range(8), *range(n_head - 8, n_head)]
        assert len(tables) == len(seen), name
        for head, table in zip(seen, tables, strict=True):
            width = count // n_head
            check_table(table, frame, [*range(head * width, (head + 1) * width)], "head" if n_head > 1 else NOTHING)
        headline = page.all("p")[0].text
        for said in (name, step.title, step.words, " × ".join(map(str, frame.shape))):
            assert said in headline
        notes = " ".join(note.text for note in page.all("small"))
        assert (f"12 of {count // n_head} columns" in notes) == (count // n_head > MOST)
        assert (f"12 of {len(frame)} rows" in notes) == (len(frame) > MOST)


@every_run
def test_tabs_are_radio_buttons_with_labels_of_their_own_and_one_is_chosen(kind, how):
    trace, groups = run(kind, **how), set()
    for name in trace:
        page = shown(trace[name])
        ids = [one.attributes["id"] for one in page.every() if "id" in one.attributes]
        assert len(set(ids)) == len(ids)
        assert [label.attributes["for"] for label in page.all("label")] == ids
        inputs = page.all("input")
        assert sum("checked" in one.attributes for one in inputs) == min(len(inputs), 1)
        group = {one.attributes["name"] for one in inputs}
        assert len(group) <= 1
        assert not group & groups  # two stages of one page have nothing in common
        groups |= group
        assert not page.all("script")


def test_a_stage_is_small():
    trace = run("embedded")
    sizes = {name: len(trace[name]._repr_html_()) for name in trace}
    assert max(sizes.values()) < 32_000, sizes


def test_masked_cells_are_grey_shares_have_one_colour_and_other_numbers_one_for_each_sign():
    trace = run("embedded")
    for step in trace.steps.computed:
        if step.is_text:
            continue
        for cell in shown(trace[step.name]).all("td"):
            if "title" not in cell.attributes:
                continue
            value, kind = float(cell.attributes["title"]), cell.attributes["class"]
            if value == 0:
                assert kind == ("m" if step.op.shares else "z")
            elif value < -1e9:
                assert kind == "m"
            else:
                assert kind == ("s" if step.op.shares else "a" if value > 0 else "b")
            strength = float(re.fullmatch(r"--s:(\d+)%", cell.attributes["style"])[1]) if kind in "sab" else 0
            assert 0 <= strength <= 100
            assert not step.op.shares or strength == round(100 * value)


def test_numbers_that_are_none_are_shown_and_nothing_is_warned_of():
    matrix = np.array([[np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 0.0, -0.0, 0.5, -1.0]] * 6)
    trace = run("embedded")
    for name in ("block_0_step_16", "block_0_step_7", "block_0_step_6", "logits"):
        array = np.resize(matrix, trace.array(name).shape)
        odd = dataclasses.replace(trace, arrays={**trace.arrays, name: array})
        frame = odd[name]
        page = shown(frame)
        assert {"NaN", "inf"} <= {cell.text for cell in page.all("td")}
        read(odd._repr_html_())


@pytest.mark.parametrize(("rows", "columns"), [(0, 64), (6, 0), (0, 0)])
def test_no_rows_and_no_columns_are_said(rows, columns):
    trace = run("embedded")
    for name in ("block_0_step_16", "block_0_step_5_queries", "final_tokens"):
        frame = trace[name].iloc[:rows, :columns]
        for n_head in (1, 4):
            assert re.search(r"no (rows|columns)", read(stage.html(frame, trace.step(name), n_head)).text)


def test_a_frame_that_a_person_changed_is_shown_as_it_is_now():
    frame = run("embedded")["block_0_step_7"]
    for label in frame.columns[:4]:
        del frame[label]
    page = shown(frame)
    assert len(page.all("table")) == 1  # 20 columns could be divided by 4 heads, but these aren't theirs
    check_table(page.all("table")[0], frame, [*range(20)], NOTHING)


# ------------------------------------------------------------------------------------------------ hostile tokens


def check_inert(page, texts):
    """Nothing of a text has become an element, an attribute or a style of the page."""
    allowed = {"div", "style", "p", "b", "small", "em", "i", "table", "thead", "tbody", "tr", "th", "td", "span"}
    allowed |= {"input", "label", "details", "summary", "img"}
    for one in page.every():
        assert one.tag in allowed
        assert not [name for name in one.attributes if name.startswith("on")]
    (style,) = page.all("style")
    assert not any(len(text) > 1 and text in style.text for text in texts)


@pytest.mark.parametrize("tokens", [HOSTILE[:6], HOSTILE[6:]])
def test_hostile_tokens_are_only_text(tokens):
    trace = run("embedded")
    vocabulary = [*HOSTILE, *["<b>"] * trace.config.n_vocab][: trace.config.n_vocab]
    odd = dataclasses.replace(trace, labels=Labels(tokens, trace.config.n_head, lambda: vocabulary))
    for name in odd:
        check_inert(shown(odd[name]), tokens)
    check_inert(read(odd._repr_html_()), tokens)
    html = odd["block_0_step_7"]._repr_html_() + odd["final_tokens"]._repr_html_()
    assert "<script" not in html
    html.encode("utf-8")  # no half of a surrogate


@given(st.text())
def test_any_token_is_shown_without_spaces_line_ends_and_what_turns_or_hides_text(text):
    for made in (cells.token(text), cells.caption(text)):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f]", made)
        made.encode("utf-8")
    assert " " not in cells.token(text)


@given(st.floats() | st.floats(width=32))
def test_any_number_is_shown_to_its_last_digit_and_only_an_exact_zero_as_0(value):
    text = cells.number(value)
    assert agrees(text, value) or value < -1e9
    assert (text == "0") == (value == 0)
    assert len(text) <= 11


# ------------------------------------------------------------------------------------------------ a frame as any other


@every_run
def test_a_stage_is_a_plain_frame_of_the_run_s_own_matrix(kind, how):
    trace = run(kind, **how)
    for step in trace.steps.computed:
        if not step.is_text:
            frame, made = trace[step.name], to_frame(trace.array(step.name), *trace.axes(step.name))
            assert type(frame) is pd.DataFrame
            assert np.shares_memory(frame.to_numpy(), trace.array(step.name))
            assert frame.equals(made)
            assert frame.index.identical(made.index)
            assert frame.columns.identical(made.columns)


@pytest.mark.parametrize("name", ["block_0_step_7", "logits", "final_tokens"])
def test_a_stage_and_a_plain_frame_are_equal_either_way_round(name):
    frame = run("embedded")[name]
    plain = pd.DataFrame(frame)
    pd.testing.assert_frame_equal(frame, plain)
    pd.testing.assert_frame_equal(plain, frame)


MADE = {
    "a slice": lambda frame: frame.iloc[1:3],
    "a copy": lambda frame: frame.copy(),
    "another copy": copy.copy,
    "a deep copy": copy.deepcopy,
    "both in one": lambda frame: pd.concat([frame, frame]),
    "turned": lambda frame: frame.T,
    "a sum": lambda frame: frame + frame,
    "a pickle": lambda frame: pickle.loads(pickle.dumps(frame)),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("name", ["block_0_step_7", "final_tokens"])
def test_what_is_made_of_a_stage_is_as_pandas_makes_it(made, name):
    frame = run("embedded")[name]
    ours, theirs = MADE[made](frame), MADE[made](pd.DataFrame(frame))
    pd.testing.assert_frame_equal(ours, theirs)
    assert ours._repr_html_() == theirs._repr_html_()


def test_texts_files_and_options_of_pandas_are_as_they_were(tmp_path):
    ours = run("embedded")["block_0_step_7"]
    plain = pd.DataFrame(ours)
    assert (repr(ours), ours.to_html(), ours.to_csv()) == (repr(plain), plain.to_html(), plain.to_csv())
    for number, frame in enumerate((ours, plain)):
        frame.to_excel(tmp_path / f"{number}.xlsx")
    read_again = (pd.read_excel(tmp_path / f"{number}.xlsx", header=None, engine="calamine") for number in range(2))
    pd.testing.assert_frame_equal(*read_again)
    with pd.option_context("display.notebook_repr_html", False):
        assert ours._repr_html_() is None


def test_a_pickle_of_a_stage_opens_where_there_is_no_sheetgpt():
    assert b"sheetgpt" not in pickle.dumps(run("embedded")["block_0_step_7"])


def test_a_stage_that_nobody_holds_is_gone_at_once():
    from weakref import ref

    frame = run("embedded")["block_0_step_7"]
    held = ref(frame)
    del frame
    assert held() is None


def test_a_stage_that_was_set_says_so():
    trace = run("embedded")
    assert trace.steps.name(Role.LOGITS) == "logits"
    changed = dataclasses.replace(trace, overrides={"block_0_step_7": trace.array("block_0_step_7")})
    assert "set by hand" in shown(changed["block_0_step_7"]).text
    assert "set by hand: block_0_step_7" in read(changed._repr_html_()).text
    assert "set by hand" not in shown(changed["block_0_step_6"]).text + read(trace._repr_html_()).text
