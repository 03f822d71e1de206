"""Workbooks in JavaScript's readers, SheetJS and ExcelJS, from npm: every number of every tab is there, in its cell."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conftest import lacking, program
from sheetgpt.workbook.grid import cell
from sheetgpt.workbook.reading.open import Workbook

PACKAGES = ("xlsx@0.18.5", "exceljs@4.4.0")
# ExcelJS: a result of 0 is in `result`, and not in `value.result`
SCRIPT = """
const [reader, file] = process.argv.slice(2), found = {};
const keep = (tab, at, value) => { if (typeof value === "number") (found[tab] ??= {})[at] = value; };
async function sheetjs() {
  const book = require("xlsx").readFile(file);
  for (const tab of book.SheetNames)
    for (const [at, one] of Object.entries(book.Sheets[tab])) if (at[0] !== "!") keep(tab, at, one.v);
}
async function exceljs() {
  const book = new (require("exceljs").Workbook)();
  await book.xlsx.readFile(file);
  book.eachSheet((tab) => tab.eachRow((row) => row.eachCell((one) =>
    keep(tab.name, one.address, one.result ?? one.value))));
}
({ sheetjs, exceljs })[reader]().then(() => process.stdout.write(JSON.stringify(found)));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """`node(reader, file)`: the numbers of each tab by address."""
    npm, node = (program(name, "apt-get install nodejs npm") for name in ("npm", "node"))
    folder = tmp_path_factory.mktemp("node")
    quiet = ["--no-audit", "--no-fund", "--silent"]
    install = [npm, "install", *quiet, "--prefix", folder, *PACKAGES]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        lacking(f"{' and '.join(PACKAGES)} ({done.stderr[-200:]})", "npm must reach its registry")
    (folder / "read.cjs").write_text(SCRIPT, encoding="utf-8")

    def read(reader: str, file: Path) -> dict[str, dict[str, float]]:
        command = [node, folder / "read.cjs", reader, file]
        env = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300, env=env).stdout)

    return read


@pytest.fixture(scope="module")
def books(embedded_book) -> dict[str, Path]:
    return {
        "values": embedded_book(),
        "live": embedded_book(formulas=True),
        "portable": embedded_book(formulas=True, portable=True),
    }


@pytest.mark.office
@pytest.mark.parametrize("reader", ["sheetjs", "exceljs"])
@pytest.mark.parametrize("name", ["values", "live", "portable"])
def test_every_number_of_every_tab_is_read(name, reader, books, node):
    found, book = node(reader, books[name]), Workbook(books[name])
    count = 0
    for tab in map(book.tab, book.tabs):
        for at in map(tuple, np.argwhere(~np.isnan(tab.numbers)).tolist()):
            if at not in tab.others:  # a number in words, such as nan
                assert found[tab.name][cell(*at)] == tab.numbers[at], (tab.name, cell(*at))
                count += 1
    assert count > (15_000 if name == "values" else 150_000)
