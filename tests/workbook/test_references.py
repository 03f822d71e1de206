"""Which names formulas use: those that stand in them, and no others."""

from __future__ import annotations

from sheetgpt import ops
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.references import Input, Names, Slot, Source, formulas, names_used

QUERIES = Source("queries", Area("b", 0, 2, 3, 4), "rows")
KEYS = Source("keys", Area("b", 9, 2, 3, 4), "rows")
MASK = Source("mask", Area("e", 0, 2, 3, 3), "both")
WHOLE = Slot(ops.Piece.MATRIX, (0, 0, 3, 4), 0)


def names_of(op: ops.Op, out: Area, *sources: Source) -> Names:
    names: Names = {}
    list(formulas(op, out, sources, names))
    return names


def test_a_formula_by_head_uses_the_names_of_its_heads():
    used = names_of(ops.AttentionScores(2), Area("b", 20, 2, 3, 6), QUERIES, KEYS, MASK)
    heads = {f"{name}_head_{head}" for name in ("queries", "keys") for head in (0, 1)}
    assert set(used) == {*heads, "mask"}
    assert used["keys_head_1"] == "b!$E$10:INDEX(b!$E$10:$F$12,n_tokens,2)"
    assert used["mask"] == "e!$C$1:INDEX(e!$C$1:$E$3,n_tokens,n_tokens)"


def test_a_formula_of_cells_uses_no_name():
    assert names_of(ops.Softmax(), Area("b", 20, 2, 3, 4), QUERIES) == {}


def test_a_name_inside_a_longer_one_or_of_a_tab_is_not_used():
    inputs = [Input(Source(name, Area(name, 0, 0, 1, 1)), WHOLE, "here") for name in ("logits", "logits_2", "x.y")]
    assert set(names_used("logits!C5+logits_2*x.y", inputs)) == {"logits_2", "x.y"}
    assert set(names_used("MAX(logits)", inputs)) == {"logits"}
    assert names_used("'logits'!C5+x.y.z", inputs) == {}


def test_a_reference_as_text_is_its_name_and_nothing_else_happens():
    one = Input(QUERIES, WHOLE, "b")
    assert f"{one}" == "queries"
    assert one == Input(QUERIES, WHOLE, "b")
