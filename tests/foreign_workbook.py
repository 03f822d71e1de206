"""A workbook of somebody else's making: every stage of a run on some tab, under a heading, without any name."""

from __future__ import annotations

import openpyxl
import xlsxwriter

from sheetgpt.models import heads
from sheetgpt.workbook.grid import Area, address, with_r1c1


def write_foreign(path, trace, edited=None):
    """Write a run; where a stage is `edited`, one cell of it is another number. The address of that cell, as shown."""
    places = {}
    with xlsxwriter.Workbook(path) as book:
        tabs, rows = {}, {}
        for step in (step for step in trace.steps if not step.is_text):
            tab = "Model" if step.block is None else f"Block {step.block}"
            sheet, row = tabs.get(tab) or tabs.setdefault(tab, book.add_worksheet(tab)), rows.get(tab, 2)
            matrix = trace.array(step.name)
            if step.by_head:
                matrix = heads.padded(matrix, trace.config.n_head, trace.config.head_size)
            sheet.write(row, 1, step.title)
            for at, numbers in enumerate(matrix.tolist(), start=row + 1):
                sheet.write_row(at, 2, numbers)
            places[step.name] = Area(tab, row + 1, 2, *matrix.shape)
            rows[tab] = row + len(matrix) + 3
    if edited is None:
        return ""
    area = places[edited].part(2, 5, 1, 1)
    book = openpyxl.load_workbook(path)
    book[area.tab][area.range()].value += 0.25
    book.save(path)
    return with_r1c1(address([area], 0, 0))
