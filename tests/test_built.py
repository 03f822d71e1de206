"""The pages under docs/built, followed to the letter in a copy of the checkout: what they say is there to do, is enough."""

from __future__ import annotations

import ast
import re

import pytest

import built_pages
from built_pages import PAGES, ROOT, blocks, changed, followed, python, shell_lines, text_of, walk

NAMES = sorted(path.stem for path in PAGES.glob("*.md"))
INCLUDED = "{literalinclude}"


@pytest.fixture
def places(tmp_path):
    """(where the copy of the checkout will be, an empty folder)."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "checkout", tmp_path / "folder"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_on_a_page_is_left_untried(name):
    for block in blocks(text_of(name)):
        known = block.kind in ("sh", "console") or block.path
        assert known or block.kind in (INCLUDED, "{toctree}"), block
    assert text_of(name).count("\n```") == 2 * len(blocks(text_of(name)))


@pytest.mark.office
@pytest.mark.browser
@pytest.mark.slow
def test_an_operation_added_as_the_page_says_keeps_every_law(places):
    checkout, _ = places
    followed("operation", checkout, *places[1:])
    commands = list(shell_lines("operation"))
    assert len(commands) == 3
    build, *laws = ([*command.split()[1:]] for command in sorted(commands, key=lambda one: "pytest" in one))
    files = dict.fromkeys(word for law in laws for word in law if word.startswith("tests/"))
    options = [re.search('-k "(.+)"', command)[1] for command in commands if "pytest" in command]
    assert len(set(options)) == 1
    python(*build, checkout=checkout, at=checkout)
    printed = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", options[0], checkout=checkout, at=checkout)
    assert re.search(r"\d+ passed", printed)
    assert "skipped" not in printed


@pytest.mark.parametrize("name", ["model", "source"])
def test_what_is_added_as_the_page_says_does_what_the_page_shows(name, places):
    followed(name, *places)
    assert walk(name, *places) == ""


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_shows_of_the_source_is_there(name):
    found = [block for block in blocks(text_of(name)) if block.kind == INCLUDED]
    assert found or name != "index"
