"""The site's pages of commands: each command has one, with its own help and a session in which it is typed."""

from __future__ import annotations

import io
import re
import runpy

import pytest

import doc_sessions
from command_line import sheetgpt_here
from conftest import require
from sheetgpt.cli import COMMANDS

FOLDER = doc_sessions.ROOT / "docs" / "commands"
HELP = re.compile(r"^```\{help\} (.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)
TOCTREE = re.compile(r"^```\{toctree\}\n(?::.*\n)*\n((?:(?!```).*\n)*)```$", re.MULTILINE)
ROW = re.compile(r"^\|[^|]*\| \[`(.*)`\]\((.*)\.md\) \| (.*) \|$", re.MULTILINE)


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parts():
    """The names of docs/site_parts.py."""
    require("docutils", "docs")
    return runpy.run_path(str(FOLDER.parent / "site_parts.py"))


def test_each_command_has_a_page_and_each_page_a_command():
    assert {page.stem for page in FOLDER.glob("*.md")} == {*COMMANDS, "index"}


def test_the_index_lists_every_command_once_with_the_line_that_the_help_has():
    listed = ROW.findall(text_of("index"))
    assert {name: line for name, _, line in listed} == {name: line for name, (_, line) in COMMANDS.items()}
    assert (
        [name for name, _, _ in listed]
        == [page for _, page, _ in listed]
        == TOCTREE.findall(text_of("index"))[0].split()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_holds_its_commands_help_and_a_session_in_which_it_is_typed(name):
    text = text_of(name)
    assert text.startswith(f"# sheetgpt {name}\n")
    assert HELP.findall(text) == [(name, f"sheetgpt {name} --help\n")]
    answers = [one.shown for one in doc_sessions.commands(text) if one.typed.split()[:2] == ["sheetgpt", name]]
    assert any(set(filter(None, answers)) - {(doc_sessions.LEFT_OUT,)}), "nothing that it prints is shown"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_sites_help_is_what_the_command_line_prints(name, parts, tmp_path):
    shown = sheetgpt_here(name, "--help", cwd=tmp_path, COLUMNS=str(parts["WIDTH"]))
    assert parts["help_of"](name) + "\n" == shown.out
    assert max(map(len, shown.out.splitlines())) <= parts["WIDTH"], "an example too long for the page"


def test_a_page_that_names_no_command_is_warned_about(parts):
    from docutils.core import publish_doctree
    from docutils.parsers.rst import directives

    directives.register_directive("help", parts["Help"])
    warned = io.StringIO()
    publish_doctree(".. help:: rnu\n\n.. help:: run\n", settings_overrides={"warning_stream": warned})
    assert "(WARNING/2) no command is called rnu: there are run, generate, " in warned.getvalue()
    assert warned.getvalue().count("WARNING") == 1
