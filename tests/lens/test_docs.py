"""docs/lenses.md: every lens is shown, each says its convention, and the lines of Python run."""

from __future__ import annotations

import shlex
from pathlib import Path

import doc_sessions
from sheetgpt.cli import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "lenses.md").read_text(encoding="utf-8")
LENSES = {"lens", "attribute", "ablate", "patch"}


def test_every_lens_is_shown_and_says_its_convention(walked):
    printed = {typed: lines for typed, lines in walked("docs/lenses").printed.items() if command_of(typed) in LENSES}
    assert {command_of(typed) for typed in printed} == LENSES <= set(COMMANDS)
    for typed, lines in printed.items():
        assert len(lines[-1]) > 100, (typed, "the convention stands last")


def command_of(typed):
    return shlex.split(typed)[1]


def test_the_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doc_sessions.run_python(PAGE)["found"]
    assert (tmp_path / "patch.xlsx").exists()
    assert found.report().tables
