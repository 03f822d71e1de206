"""Tables on the terminal: what stands on which side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sheetgpt.commands.show import table

NUMBERS = st.sampled_from(["", "1", "-2.5", "1,000", "45.5%", "+0.250", "1e-09"])


@given(column=st.lists(NUMBERS, min_size=1).filter(any))
def test_numbers_end_below_each_other_also_where_cells_are_blank(column):
    shown = [line.removesuffix("|") for line in table(["what", "|"], [[cell, "|"] for cell in column]).split("\n")[1:]]
    width = max(map(len, ["what", *column]))
    assert [line.rstrip(" ") for line in shown] == [cell.rjust(width).rstrip(" ") for cell in column]


@given(column=st.lists(NUMBERS | st.just("a text"), min_size=1).filter(lambda cells: "a text" in cells))
def test_a_column_that_holds_a_text_stands_to_the_left(column):
    assert table(["what"], [[cell] for cell in column]).split("\n")[1:] == column
