"""The README: its session runs as written, its reading order names every module, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import doc_sessions

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_session_has_ten_lines_and_leaves_what_it_says(walked):
    walk = walked("README")
    assert len(walk.printed) == 10
    assert (walk.folder / "exports" / "mike-is-quick-he-moves.xlsx").exists()
    assert (walk.folder / "my_model" / "constants.csv").exists()


def test_the_python_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = doc_sessions.run_python(README)
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


@pytest.mark.parametrize("page", [doc_sessions.name_of(file) for file in doc_sessions.files()])
def test_links_lead_to_files(page):
    text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
