"""The README: its session runs as written, its reading order names every module, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from command_line import sheetgpt

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def session() -> list[list[str]]:
    block = README.partition("<!-- session -->")[2].partition("<!-- end -->")[0]
    lines = [line for line in block.splitlines() if line and not line.startswith("```")]
    return [shlex.split(line, comments=True) for line in lines]


def test_the_session_has_ten_lines_and_each_runs(tmp_path):
    commands = session()
    assert len(commands) == 10
    for program, *arguments in commands:
        if program == "python":
            import subprocess

            subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True)
        else:
            result = sheetgpt(*arguments, cwd=tmp_path)
            assert result.code == 0, (arguments, result.err)
    assert (tmp_path / "exports" / "mike-is-quick-he-moves.xlsx").exists()
    assert (tmp_path / "my_model" / "constants.csv").exists()


def test_the_python_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = README.partition("```python\n")[2].partition("```")[0]
    names: dict = {}
    exec(code, names)
    assert names["trace"].predicted_token == " quickly"
    assert names["changed"].predicted_token
    assert (tmp_path / "run.xlsx").exists()


def test_the_reading_order_names_every_module_and_package_in_the_listing():
    order = README.partition("## Reading order")[2]
    for path in (ROOT / "sheetgpt").iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            assert f"`{path.name}`" in order, path.name
        elif (path / "__init__.py").exists():
            assert f"`{path.name}/`" in order, path.name


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
