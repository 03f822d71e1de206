"""docs/positions.md: each number in its tables is what a command prints now."""

from __future__ import annotations

from pathlib import Path

import positions_table

PAGE = (Path(__file__).parents[1] / "docs" / "positions.md").read_text(encoding="utf-8")
REMEDY = "paste what `python tests/positions_table.py` prints"


def test_the_table_of_prompts_is_what_run_says():
    assert positions_table.by_prompt() in PAGE, REMEDY


def test_the_table_of_kinds_is_what_the_figures_say():
    assert positions_table.by_kind() in PAGE, REMEDY
