"""First load of the 1.5 GB CSV folder to ready weights, against reading the same files with polars and with pandas.

    python benchmarks/loading.py [rounds]

Ours reads, checks and caches every matrix; the peers only read each file into a frame and drop it. The files are in the
system's memory for all. Then the most memory that the load takes, and how long opening the cached model takes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import harness
import models

FLOAT32_BYTES = 497_759_232  # of GPT-2 small's weights
LOAD = """
import sys
from pathlib import Path
from sheetgpt.weights.folder import load_weights
load_weights(Path(sys.argv[1]), sys.argv[2])
"""


def main(rounds: int) -> None:
    import pandas as pd
    import polars as pl

    from sheetgpt.weights.folder import load_weights

    harness.print_machine("pysimdjson", "orjson", "polars", "pandas")
    folder = models.csv_folder()
    files = sorted(folder.glob("model_*.csv"))

    def read_with_polars() -> None:
        for file in files:
            pl.read_csv(file, has_header=False)

    def read_with_pandas() -> None:
        for file in files:
            pd.read_csv(file, header=None)

    peers = {"polars.read_csv": harness.clocked(read_with_polars), "pandas.read_csv": harness.clocked(read_with_pandas)}
    for dtype in ("float32", "float64"):

        def first_load(dtype=dtype) -> float:
            forget(folder)
            return harness.clocked(lambda: load_weights(folder, dtype))()

        results = harness.in_turn(rounds, ours=first_load, **peers)
        harness.report(f"first load, {dtype}", results, {"polars.read_csv": 1.5, "pandas.read_csv": 0.4})

        forget(folder)
        most = harness.peak_memory(LOAD, folder, dtype)
        memory = {"ours": [most], "float32 weights": [FLOAT32_BYTES]}
        harness.report(f"peak memory of the first load, {dtype}", memory, {"float32 weights": 3}, unit="MB")

        opened = harness.in_turn(rounds * 3, ours=harness.clocked(lambda dtype=dtype: load_weights(folder, dtype)))
        print(f"opening the cached model, {dtype}: {sorted(opened['ours'])[rounds] * 1e3:.1f} ms\n", flush=True)


def forget(folder: Path) -> None:
    """Take the cache away."""
    from sheetgpt.files.cache import FOLDER

    shutil.rmtree(folder / FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
