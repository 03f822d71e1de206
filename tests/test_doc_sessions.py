"""docs/lesson.md and docs/tokens.md: every command prints what stands under it."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

import doc_sessions

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {"lesson": 15, "tokens": 6}  # and how many commands there are at least


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_prints_what_stands_under_it(page, tmp_path):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert len(doc_sessions.commands(text)) >= PAGES[page]
    now = doc_sessions.answered(text, tmp_path)
    changes = difflib.unified_diff(text.splitlines(), now.splitlines(), "the page", "printed now", lineterm="", n=1)
    assert now == text, "\n".join([f"python tests/doc_sessions.py --update docs/{page}.md", *changes])


def test_a_page_keeps_all_but_the_answers(tmp_path):
    page = """# A

```console
$ printf "a\\nb\\nc\\n"
old
$ printf "d\\n"
$ printf "1\\n2\\n3\\n"
0
...
```

`$ printf no`
"""
    now = page.replace("old", "a\nb\nc").replace('"d\\n"', '"d\\n"\nd').replace("\n0\n", "\n1\n")
    assert doc_sessions.answered(page, tmp_path) == now
    assert doc_sessions.answered(now, tmp_path) == now


def test_what_is_refused_is_an_answer_too(tmp_path):
    page = "```console\n$ sheetgpt run Mike is\n```\n"
    assert "Error: a text of several words stands in quotes" in doc_sessions.answered(page, tmp_path)
