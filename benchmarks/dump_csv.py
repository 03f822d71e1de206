"""`--dump-csv` of a 12-layer, 10-token run of GPT-2 small's size against pandas' `to_csv` of the same frames.

    python benchmarks/dump_csv.py [rounds]

Both sides write every stage with its labels; ours adds the manifest.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import harness
import models


def main(rounds: int) -> None:
    harness.print_machine("pandas", "orjson")
    for dtype in ("float64", "float32"):
        trace = models.random_model(dtype).run(token_ids=list(range(100, 110)))
        frames = {name: trace[name] for name in trace}
        cells = sum(frame.size for frame in frames.values())
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            (here / "pandas").mkdir()

            def pandas(frames=frames, to=here / "pandas") -> None:
                for name, frame in frames.items():
                    frame.to_csv(to / f"{name}.csv")

            ours = harness.clocked(lambda trace=trace, to=here / "ours": trace.to_csv(to))
            results = harness.in_turn(rounds, ours=ours, pandas=harness.clocked(pandas))
        harness.report(f"dump-csv, {cells / 1e6:.1f} M cells, {dtype}", results, {"pandas": 0.2})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
