"""The pages under docs/built, followed to the letter in a copy of the checkout: what they say is enough."""

from __future__ import annotations

import re

import pytest

from built_pages import PAGES, blocks, followed, python, shell_lines, text_of, walk

NAMES = sorted(path.stem for path in PAGES.glob("*.md"))
INCLUDED = "{literalinclude}"


@pytest.fixture
def checkout(tmp_path):
    """Where the copy of the checkout will be."""
    return tmp_path / "checkout"


@pytest.fixture
def folder(tmp_path):
    """An empty folder in which a reader types."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.mark.parametrize("name", NAMES)
def test_nothing_on_a_page_is_left_untried(name):
    for block in blocks(text_of(name)):
        known = block.kind in ("sh", "console") or block.path
        assert known or block.kind in (INCLUDED, "{toctree}"), block
    assert text_of(name).count("\n```") == 2 * len(blocks(text_of(name)))


@pytest.mark.office
@pytest.mark.browser
@pytest.mark.slow
def test_an_operation_added_as_the_page_says_keeps_every_law(checkout, folder):
    followed("operation", checkout, folder)
    build, *tests = (command.split(maxsplit=1)[1] for command in sorted(shell_lines("operation"), key=is_test))
    python(build, checkout=checkout, at=checkout)
    found = [re.fullmatch(r'-m pytest -q (\S+) -k "(.+)"', command) for command in tests]
    (chosen,) = {one[2] for one in found}
    laws = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *(one[1] for one in found), "-k", chosen]
    printed = python(*laws, checkout=checkout, at=checkout)  # those of both in one process
    assert re.search(r"\d\d passed, \d+ deselected in", printed), printed


def is_test(command):
    return "pytest" in command


@pytest.mark.parametrize("name", [pytest.param("model", marks=pytest.mark.slow), "source"])
def test_what_is_added_as_the_page_says_does_what_the_page_shows(name, checkout, folder):
    followed(name, checkout, folder)
    assert walk(name, checkout, folder) == ""
