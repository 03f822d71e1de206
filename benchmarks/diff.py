"""Comparing at real size: two 12-layer dumps of 10 tokens, and reading a workbook of 200 MB, time and memory.

    python benchmarks/diff.py [FOLDER]     (needs about 2 GB there for a while; default: a temporary folder)

The weights are random, of GPT-2 small's size. Peers in the same run: pandas for the CSV dumps, openpyxl for a tab of
768 x 2304. Every figure of memory is the most that a process of its own holds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from harness import clocked, in_turn, peak_memory, print_machine, report
from models import GPT2_SMALL, random_weights
from sheetgpt.model import Model
from sheetgpt.run.trace import Trace
from sheetgpt.weights.folder import Weights

IDS = list(range(500, 5500, 500))
DIFF = """
import sys
from sheetgpt.diff import diff
from sheetgpt.diff.sides import open_side
found = diff(open_side(sys.argv[1]), open_side(sys.argv[2]), why=False)
assert found.equal, found.first
"""
READ = """
import sys
from pathlib import Path
from sheetgpt.workbook.reading.open import Workbook
book = Workbook(Path(sys.argv[1]))
for tab in book.tabs if len(sys.argv) == 2 else sys.argv[2:]:
    book.tab(tab)
"""


def traces(folder: Path) -> tuple[Trace, Trace]:
    """The same ten tokens in float64 and in float32."""
    weights = random_weights(GPT2_SMALL)
    runs = []
    for dtype in ("float64", "float32"):
        matrices = {name: matrix.astype(dtype) for name, matrix in weights.items()}
        runs.append(Model(Weights(matrices, GPT2_SMALL, folder, dtype), None).run(token_ids=IDS))
    return tuple(runs)


def process(code: str, *arguments: Path | str):
    import subprocess

    return clocked(lambda: subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True))


def with_pandas(left: Path, right: Path):
    """What one would do by hand: read both files of each stage and compare."""
    import pandas as pd

    def compare():
        for path in sorted(left.glob("block_*.csv")):
            a, b = (pd.read_csv(folder / path.name, index_col=0).to_numpy() for folder in (left, right))
            np.allclose(a, b, atol=1e-4, rtol=1e-3)

    return clocked(compare)


def large_workbook(path: Path) -> Path:
    """About 200 MB: tabs of 768 x 2304 doubles."""
    from sheetgpt.workbook.book import Book
    from sheetgpt.workbook.cells import Numbers
    from sheetgpt.workbook.grid import Area

    rng, book = np.random.default_rng(0), Book("large")
    for tab in range(11):
        book.add_tab(f"tab_{tab}")
        book.put(Numbers(Area(f"tab_{tab}", 0, 0, 768, 2304), rng.standard_normal((768, 2304))), "number")
    book.save(path)
    return path


def main(folder: Path) -> None:
    print_machine("orjson", "pandas", "openpyxl", "python-calamine")
    double, single = traces(folder)
    left, right = double.to_csv(folder / "double"), single.to_csv(folder / "single")
    size = sum(file.stat().st_size for file in left.iterdir()) / 1e6
    rounds = in_turn(3, ours=process(DIFF, left, right), pandas=with_pandas(left, right))
    report(f"diff of two 12-layer CSV dumps ({size:.0f} MB each)", rounds, {})
    print(f"  most memory: {peak_memory(DIFF, left, right) / 1e6:.0f} MB", flush=True)
    book = double.to_excel(folder / "double.xlsx")
    rounds = in_turn(2, ours=process(DIFF, left, book), csv=process(DIFF, left, left))
    report(f"diff of a CSV dump and a workbook ({book.stat().st_size / 1e6:.0f} MB)", rounds, {})
    print(f"  most memory: {peak_memory(DIFF, left, book) / 1e6:.0f} MB", flush=True)
    large = large_workbook(folder / "large.xlsx")
    megabytes = large.stat().st_size / 1e6
    rounds = in_turn(1, warm_up=0, ours=process(READ, large), one_tab=process(READ, large, "tab_5"))
    report(f"all of a workbook of {megabytes:.0f} MB, and one of its 11 tabs (768 x 2304)", rounds, {})
    whole, one_tab = peak_memory(READ, large), peak_memory(READ, large, "tab_5")
    print(f"  most memory: {whole / 1e6:.0f} MB, one tab {one_tab / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
