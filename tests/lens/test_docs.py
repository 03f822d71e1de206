"""docs/lenses.md: every command and every line of Python in it runs as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import sheetgpt
from sheetgpt.cli import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "lenses.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: shlex.split(block)[1])
def test_every_command_runs_and_says_its_convention(block, tmp_path):
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        if program == "python":
            subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True)
            continue
        result = sheetgpt(*arguments, cwd=tmp_path)
        assert result.code == 0, (line, result.err)
        assert len(result.out.splitlines()[-1]) > 100, "the convention stands last"


def test_every_lens_is_shown():
    shown = {shlex.split(line)[1] for block in BLOCKS for line in block.splitlines() if line.startswith("sheetgpt")}
    assert shown == {"lens", "attribute", "ablate", "patch"} <= set(COMMANDS)


def test_the_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    assert (tmp_path / "patch.xlsx").exists()
    assert names["found"].report().tables
