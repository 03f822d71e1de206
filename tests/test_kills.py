"""Every command that writes may be killed at any moment: what stood there, or what takes its place, is whole.

The next call heals: it writes the same as if nothing had happened, and leaves nothing behind.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checkpoints import MATRICES, write_csvs, write_huggingface
from command_line import sheetgpt_here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]
KILLS = int(os.environ.get("SHEETGPT_KILLS", "6"))  # of each command
NAMES = "emma\nolivia\nava\nisabella\nsophia\nmia\n" * 3
RUN = ["run", "--token-ids", "5,6,7", "--weights", "model", "--name", "d"]
COMMANDS = {
    "CSVs": [*RUN, "--dump-csv"],
    "a workbook": [*RUN, "--dump-xlsx"],
    "a live workbook": [*RUN, "--dump-xlsx", "--formulas"],
    "picks": ["generate", "--token-ids", "5,6", "-n", "3", "--weights", "model", "--dump-csv", "--name", "d"],
    "a step": ["train-step", "--token-ids", "5,6", "--weights", "model", "--dump-csv", "--name", "d"],
    "a table": ["train-bpe", "names.txt", "exports/t", "--vocab-size", "258", "--force"],
    "fixtures": ["fixtures", "--token-ids", "5,6", "--weights", "model", "-o", "exports/f.npz"],
    "a training": [
        "train",
        "names.txt",
        "exports/m",
        "--tokens",
        "chars",
        "--model",
        "mlp",
        "--steps",
        "300",
        "--force",
    ],
    "a conversion": ["convert-weights", "source", "exports/c", "--force"],
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_csvs(folder / "model", MATRICES)
    write_huggingface(folder / "source", MATRICES)
    (folder / "names.txt").write_text(NAMES)
    assert sheetgpt_here("run", "--token-ids", 1, "--weights", folder / "model").code == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every file, but for what differs from run to run: times inside of zips."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: b"" if path.suffix in (".xlsx", ".npz") else path.read_bytes() for name, path in found.items()}


def start(arguments, place):
    command = [sys.executable, "-m", "sheetgpt", *arguments]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_command_may_be_killed_at_any_moment(base, tmp_path, arguments):
    place = shutil.copytree(base, tmp_path / "place", copy_function=shutil.copy2)
    begun = time.monotonic()
    first = start(arguments, place)
    told = first.communicate(timeout=120)[1]
    assert first.returncode == 0, told
    duration, whole = time.monotonic() - begun, files(place / "exports")
    rng = random.Random(str(arguments))
    for _ in range(KILLS):
        process = start(arguments, place)
        time.sleep(rng.uniform(0.3, 1.05) * duration)
        process.kill()
        process.communicate(timeout=60)
        for path in (place / "exports").iterdir():
            if path.name.startswith("."):  # of no name that anybody reads
                continue
            if path.name == "d":
                assert files(path).keys() == {name.removeprefix("d/") for name in whole if name.startswith("d/")}
            if path.suffix == ".xlsx":
                assert sheetgpt_here("diff", path, "run-ids:5,6,7", "--weights", place / "model").code == 0
        again = start(arguments, place)
        told = again.communicate(timeout=120)[1]
        assert again.returncode == 0, told
        assert files(place / "exports") == whole
