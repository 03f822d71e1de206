"""The command line as a whole: its help, its exit codes, and what it must not import to start."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module

import pytest

from command_line import sheetgpt
from sheetgpt.cli import COMMANDS


def test_help_lists_every_command_and_an_example():
    result = sheetgpt("--help")
    assert result.code == 0
    assert all(f"  {name} " in result.out for name in COMMANDS)
    assert 'sheetgpt run "Mike is quick. He moves" --dump-xlsx' in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_ends_with_an_example(name):
    text = import_module(f"sheetgpt.commands.{COMMANDS[name][0]}").command.help
    assert "\\b" not in text, "a raw docstring: click wants the backspace itself"
    example = text.rpartition("Example")[2]
    assert re.search(rf"\n +sheetgpt {name} ", example)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_imports_nothing_heavy(name):
    code = (
        f"import sys; from sheetgpt.commands import {COMMANDS[name][0]}; "
        "print([m for m in ('numpy', 'pandas', 'orjson', 'openpyxl', 'xlsxwriter', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_without_dumps_needs_neither_pandas_nor_openpyxl():
    code = (
        "import sys; from sheetgpt.cli import cli; cli(['run', 'Mike'], standalone_mode=False); "
        "print([m for m in ('pandas', 'openpyxl', 'xlsxwriter', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_names_the_known_ones():
    result = sheetgpt("rum")
    assert result.code == 2
    assert "No such command 'rum'" in result.err
    assert "run" in result.err
    assert "Traceback" not in result.err


def test_the_version_is_printed():
    assert sheetgpt("--version").out.startswith("sheetgpt, version ")
