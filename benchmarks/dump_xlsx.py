"""`--dump-xlsx` of a 12-layer, 10-token run of GPT-2 small's size against openpyxl's write-only mode.

    python benchmarks/dump_xlsx.py [rounds]

The same matrices on both sides; openpyxl writes them bare, a sheet a stage, ours with labels, styles, names, index.
The last line is the memory that the dump adds, beside the size of the largest tab's matrices.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import harness
import models

TOKENS = 10


def run():
    """A traced run with random weights."""
    from sheetgpt.model import Model
    from sheetgpt.weights.folder import Weights

    weights = {name: matrix.astype(np.float64) for name, matrix in models.random_weights().items()}
    model = Model(Weights(weights, models.GPT2_SMALL, models.FOLDER, "float64"), None)
    return model.run(token_ids=range(100, 100 + TOKENS))


def openpyxl_dump(trace, path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for name in trace:
        if not trace.step(name).is_text:
            sheet = book.create_sheet(name)
            for row in trace.array(name).tolist():
                sheet.append(row)
    book.save(path)


def added_memory(trace, path: Path) -> int:
    """Bytes that the dump takes at its peak, beyond what was taken before."""
    import tracemalloc

    tracemalloc.start()
    trace.to_excel(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main(rounds: int) -> None:
    harness.print_machine("xlsxwriter", "openpyxl", "orjson")
    trace = run()
    cells = sum(trace.array(name).size for name in trace if not trace.step(name).is_text)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        results = harness.in_turn(
            rounds,
            ours=harness.clocked(lambda: trace.to_excel(here / "ours.xlsx")),
            openpyxl=harness.clocked(lambda: openpyxl_dump(trace, here / "openpyxl.xlsx")),
        )
        harness.report(f"dump-xlsx, {cells / 1e6:.1f} M cells", results, {"openpyxl": 0.3})
        sizes = [(here / f"{name}.xlsx").stat().st_size / 1e6 for name in ("ours", "openpyxl")]
        print("files: ours {:.1f} MB, openpyxl's {:.1f} MB".format(*sizes))
        tab = sum(trace.array(name).nbytes for name in trace if trace.step(name).block == 0) / 1e6
        peak = added_memory(trace, here / "ours.xlsx") / 1e6
        print(f"memory: {peak:.0f} MB in Python at the peak; the largest tab's matrices take {tab:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
