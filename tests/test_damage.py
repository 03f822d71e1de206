"""A few hundred damaged files of every kind: an answer, or one line. `tests/fuzzer.py` makes more by hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import require

ROOT = Path(__file__).parents[1]
COUNT = os.environ.get("SHEETGPT_MUTANTS", "12")  # of each kind


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="bounds of memory are POSIX's")
def test_damaged_files_give_an_answer_or_one_line():
    require("gguf", "test")
    command = [sys.executable, "tests/fuzzer.py", "--count", COUNT]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=3000, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = re.findall(r"^[\w ]+: \{.*\}$", done.stdout, re.MULTILINE)
    assert len(outcomes) == 18
    assert sum(map(int, re.findall(r": (\d+)", done.stdout))) == 18 * int(COUNT)
