"""The nano workbook of others: opened, its five faults repaired one by one, saved and recalculated by LibreOffice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import openpyxl

from sheetgpt.workbook.reading.maps import COLUMNS, CUTS, write_map

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


def weights_map(path: Path) -> Path:
    """Where the book's weights stand: dimensions down, queries, keys and values head by head on tabs of their own."""
    rows = [COLUMNS + CUTS]

    def add(name, tab, area, *, turned=True, columns=""):
        rows.append((name, f"Random Weights{tab}", area, "yes" if turned else "no", "", "", columns))

    add("model_wte", " - Embedding", "B10:D57")
    add("model_wpe", " - Embedding", "T10:AD57")
    for block, end in enumerate(("la", "l1", "l2")):
        norms, mlp = (
            (f" - Layer Norm-{block}", f" - MLP-Layer Nor{'m' if end == 'la' else block}"),
            f" - MLP  (multi-{end}",
        )
        for number, tab in enumerate(norms, start=1):
            add(f"model_h{block}_ln_{number}_b", tab, "B10:B57")
            add(f"model_h{block}_ln_{number}_g", tab, "D10:D57")
        for head in range(3):
            for third, row in enumerate((5, 24, 43)):
                first = third * 48 + head * 16
                tab, columns = f"-T{block} Self Attn H{head}", f"{first}-{first + 15}"
                add(f"model_h{block}_attn_c_attn_w", tab, f"E{row}:AZ{row + 15}", columns=columns)
                add(f"model_h{block}_attn_c_attn_b", tab, f"B{row}:B{row + 15}", columns=columns)
        add(f"model_h{block}_attn_c_proj_w", f" - Projection-{block}", "E6:AZ53")
        add(f"model_h{block}_attn_c_proj_b", f" - Projection-{block}", "B6:B53")
        add(f"model_h{block}_mlp_c_fc_w", mlp, "G9:GP56", turned=False)
        add(f"model_h{block}_mlp_c_fc_b", mlp, "G5:GP5", turned=False)
        add(f"model_h{block}_mlp_c_proj_w", mlp, "G90:GP137")
        add(f"model_h{block}_mlp_c_proj_b", mlp, "B90:B137")
    add("model_ln_f_b", " - Results Layer ", "B10:B57")
    add("model_ln_f_g", " - Results Layer ", "D10:D57")
    add("model_lm_head", " - Logits", "B56:AW58", turned=False)
    write_map(path, rows)
    return path
