"""The nano workbook of others: opened, its five faults repaired one by one, saved and recalculated by LibreOffice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import openpyxl

IDS = [2, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0]
STAGES = 49  # that stand there in some layout: every matrix but the causal mask, tokens, and steps 2, 4 and 11


def formulas(sheet) -> Iterable[tuple[object, str]]:
    """(cell, the formula's text) of every cell that has one, array formulas too."""
    for row in sheet.iter_rows():
        for cell in row:
            text = getattr(cell.value, "text", cell.value)
            if isinstance(text, str) and text.startswith("="):
                yield cell, text


def rewrite(sheet, change: Callable[[object, str], str]) -> None:
    for cell, text in formulas(sheet):
        new = change(cell, text)
        if new != text:
            cell.value = new


def variance(book) -> None:
    """Every layer norm divides by the population's variance."""
    for sheet in book:
        rewrite(sheet, lambda _cell, text: text.replace("VAR(", "VARP("))


def biases(book) -> None:
    """Keys and values add the bias of their own row."""
    for head in (0, 1):
        sheet = book[f"Random Weights-T0 Self Attn H{head}"]
        rewrite(
            sheet, lambda cell, text: re.sub(r"\+\$B\d+$", f"+$B{cell.row}", text) if "OFFSET($E$" in text else text
        )


def hidden_layer(book) -> None:
    """The hidden layer multiplies each token's own column."""
    for sheet in mlps(book):
        rewrite(
            sheet,
            lambda cell, text: (
                text.replace("$GU$9:$GU$56", "{0}$9:{0}$56".format(column(203 + cell.row - 60)))
                if text.startswith("=SUMPRODUCT(") and 60 <= cell.row <= 70
                else text
            ),
        )


def output_bias(book) -> None:
    """The second layer of the MLP adds the bias of each row, for token 0 as for the others."""
    for sheet in mlps(book):
        rewrite(sheet, lambda cell, text: re.sub(r"\+\$B\$90$|\+B\d+$", f"+$B{cell.row}", text))


def residuals(book) -> None:
    """The residual adds this block's own input."""
    for block in (1, 2):
        sheet = book[f"Random Weights - Projection-{block}"]
        rewrite(sheet, lambda _cell, text, block=block: text.replace("Layer Norm-0'", f"Layer Norm-{block}'"))


def mlps(book):
    return [sheet for sheet in book if "- MLP  (multi" in sheet.title]


def column(number: int) -> str:
    return openpyxl.utils.get_column_letter(number)


REPAIRS = {
    "sample variance": variance,
    "the query's bias in heads 0, 1": biases,
    "a range fixed by $": hidden_layer,
    "a bias fixed by $": output_bias,
    "block 0's residual": residuals,
}


def versions(source: Path, folder: Path) -> dict[str, Path]:
    """The workbook repaired, under the name of the one fault that each version keeps; "" keeps none.

    Its weights are random formulas: they become the numbers that were saved.
    """
    book, saved = openpyxl.load_workbook(source), openpyxl.load_workbook(source, data_only=True)
    for sheet in book:
        numbers = saved[sheet.title]
        for cell, text in formulas(sheet):
            if "RANDBETWEEN" in text:
                cell.value = numbers[cell.coordinate].value
    undo: dict[str, list[tuple[object, object]]] = {}
    for fault, repair in REPAIRS.items():
        before = [(cell, cell.value) for sheet in book for cell, _ in formulas(sheet)]
        repair(book)
        undo[fault] = [(cell, value) for cell, value in before if cell.value != value]
    made = {"": folder / "repaired.xlsx"}
    book.save(made[""])
    for number, (fault, cells) in enumerate(undo.items()):
        now = [(cell, cell.value) for cell, _ in cells]
        put(cells)
        made[fault] = folder / f"one fault {number}.xlsx"
        book.save(made[fault])
        put(now)
    return made


def put(cells: Iterable[tuple[object, object]]) -> None:
    for cell, value in cells:
        cell.value = value
