"""GPT-2 small whole as a live workbook: what writing takes, what LibreOffice takes, and whether its answers are right.

    python benchmarks/whole_gpt2.py [layers]

Random weights, a token table of GPT-2's size, a prompt with a token a word, as plain English has in GPT-2. The command
line writes the workbook, and LibreOffice loads it. What the first tab shows stands in the file; everything is computed
when the stage of the prediction is read for the first time. Then other last words are typed, each up to the new
prediction on both tabs. All that is read must be `run`'s, or the script fails. Needs 2.5 GB of disk, 5 GB of memory and
some minutes; with fewer layers, less.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import harness
import models

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from office import Session, session

PROMPT = "a1.b2!c"  # seven words, each a single token in any table
TYPED = ("d", "e", "c")  # in the place of its last word
TIMEOUT = 3_000


def folder_of(layers: int, place: Path) -> Path:
    """The random GPT-2 small with its first layers only, its files linked, not copied."""
    source, folder = models.csv_folder(), place / "weights"
    if layers == models.GPT2_SMALL.n_layer:
        return source
    folder.mkdir()
    others = tuple(f"model_h{block}_" for block in range(layers, models.GPT2_SMALL.n_layer))
    for file in source.glob("*.csv"):
        if not file.name.startswith(others):
            (folder / file.name).symlink_to(file)
    constants = (folder / "constants.csv").read_text(encoding="utf-8")
    (folder / "constants.csv").unlink()
    (folder / "constants.csv").write_text(constants.replace("n_layer,12", f"n_layer,{layers}"), encoding="utf-8")
    return folder


def write(weights: Path, place: Path) -> Path:
    """The workbook, by the command line in a process of its own; what that took is printed."""
    command = [sys.executable, "-m", "sheetgpt", "run", PROMPT, "--weights", weights, "--dump-xlsx", "--formulas"]
    began = time.perf_counter()
    process = subprocess.Popen([*map(str, command), "--exports", place, "--name", "whole"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit("writing failed")
    file, seconds = place / "whole.xlsx", time.perf_counter() - began
    print(
        f"writing: {file.stat().st_size / 1e6:,.0f} MB, {seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of "
        f"processor time, {used.ru_maxrss / 1024:,.0f} MiB at the peak",
        flush=True,
    )
    return file


def expected(weights: Path) -> list[list[str]]:
    """What the read cells should show, first and after each change: the predicted token, twice, and its logit."""
    from sheetgpt.model import load_model

    model = load_model(weights)
    best = [model.run(PROMPT[:-1] + last).predictions(1)[0] for last in (PROMPT[-1], *TYPED)]
    return [[one.token, one.token, f"{one.logit:.3f}"] for one in best]


def opened(file: Path, weights: Path) -> tuple[Session, float, int]:
    """LibreOffice's session: the last word is changed, the prediction is read on the first tab and in its stage."""
    from sheetgpt.model import load_model
    from sheetgpt.models.step import Role
    from sheetgpt.sheets.live.index import TOP
    from sheetgpt.sheets.live.plan import plan
    from sheetgpt.sheets.live.words import words_area
    from sheetgpt.sheets.live.writer import Writer
    from sheetgpt.workbook.grid import cell
    from sheetgpt.workbook.places import INDEX

    trace = load_model(weights).run(PROMPT)
    found = plan(trace)
    words, shown = words_area(found), Writer(found).places[trace.steps.name(Role.PREDICTION)].area
    last = words.part(row=len(trace.merges.words) - 1, rows=1)
    stage = [(shown.tab, shown.part(row, 1, 1, 1).range()) for row in (2, 0)]
    read = [(INDEX, cell(TOP + 2, 2)), *stage]
    typed = [((last.tab, last.range()), text) for text in TYPED]
    with ProcessPoolExecutor(1) as pool:  # a process that has no other children
        return pool.submit(measured, file, typed, read).result()


def measured(file: Path, typed: list, read: list) -> tuple[Session, float, int]:
    """A session; the processor seconds of this process's children, and the bytes of the largest at its peak."""
    office = shutil.which("soffice") or shutil.which("libreoffice") or sys.exit("LibreOffice is missing")
    done = session(office, file, typed, read, timeout=TIMEOUT, recalculated=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def main(layers: int) -> None:
    harness.print_machine("xlsxwriter", "orjson")
    with tempfile.TemporaryDirectory(dir=models.FOLDER) as folder:
        weights = folder_of(layers, Path(folder))
        file = write(weights, Path(folder))
        done, processor, peak = opened(file, weights)
        print(
            f"LibreOffice: load {done.load:.0f} s, everything computed {done.reading:.1f} s, changed words "
            f"{', '.join(f'{seconds:.1f}' for seconds in done.changes)} s; {processor:.0f} s of processor time, "
            f"{peak / 1e9:.1f} GB at the peak"
        )
        print(f"predictions: {done.shown}")
        if done.shown != expected(weights):
            sys.exit(f"they should be {expected(weights)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else models.GPT2_SMALL.n_layer)
