"""The command line as a whole: its help, its exit codes, and what it must not import to start."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from command_line import sheetgpt
from sheetgpt.cli import COMMANDS
from sheetgpt.weights.embedded import embedded_folder


def test_help_lists_every_command_and_an_example():
    result = sheetgpt("--help")
    assert result.code == 0
    assert all(f"  {name} " in result.out for name in COMMANDS)
    assert 'sheetgpt run "Mike is quick. He moves" --dump-xlsx' in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_ends_with_an_example(name):
    command = import_module(f"sheetgpt.commands.{COMMANDS[name][0]}").command
    assert "\\b" not in command.help, "a raw docstring: click wants the backspace itself"
    with click.Context(command) as context:
        shown = command.get_help(context).partition("\nOptions:")[0]
    assert re.search(rf"\n  Examples?:\n    (.*\n    )*sheetgpt {name} ", shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name):
    command = import_module(f"sheetgpt.commands.{COMMANDS[name][0]}").command
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert options
    assert not [one.name for one in options if not one.help]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_imports_nothing_heavy(name):
    code = (
        f"import sys; from sheetgpt.commands import {COMMANDS[name][0]}; "
        "print([m for m in ('numpy', 'pandas', 'orjson', 'openpyxl', 'xlsxwriter', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_looked_up_only_where_it_is_asked_for():
    code = (
        "import sys; from sheetgpt.cli import cli; cli(['run', 'Mike'], standalone_mode=False); "
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
    assert sheetgpt("--version").out.split()[-1] == version("sheetgpt")


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


# ------------------------------------------------------------------------------------------------ the terminal


def started(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "sheetgpt", *map(str, arguments)], **options)


def in_shell(line, tmp_path, **environment):
    """A line of sh, with sheetgpt as $SG."""
    names = {"SG": f"{sys.executable} -m sheetgpt", "TMP_PATH": str(tmp_path), **environment}
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        env={**os.environ, **names},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


PRINTING = [
    "run Mike",
    "run Mike --json",
    "tokenize Mike --trace",
    "generate Mike -n 3",
    "--help",
    "stages",
    "check $W",
]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-16"])
@pytest.mark.parametrize("command", ["run", "tokenize", "generate"])
def test_what_an_encoding_has_not_is_printed_as_an_escape(encoding, command, tmp_path):
    text = "日本 é 😀 ḱ"
    more = ["-n", 2] if command == "generate" else []
    process = started(
        command,
        text,
        *more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.decode("utf-8" if encoding == "ascii" else encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_is_json_in_any_encoding(encoding):
    process = started(
        "tokenize",
        "é 😀",
        "--json",
        "--trace",
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    data = json.loads(process.communicate(timeout=60)[0].decode(encoding))
    assert "".join(data["words"]) == "Ã© ðŁĺĢ"


@pytest.mark.skipif(sys.platform == "win32", reason="shells of POSIX")
@pytest.mark.parametrize("command", PRINTING)
def test_a_closed_pipe_ends_a_command_well(command, tmp_path):
    done = in_shell(f"$SG {command} | true; exit ${{PIPESTATUS[0]}}", tmp_path, W=str(embedded_folder()))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", PRINTING)
def test_a_full_disk_is_one_line(command, tmp_path):
    done = in_shell(f"$SG {command} > /dev/full", tmp_path, W=str(embedded_folder()))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "Error: No space left on device"


@pytest.mark.skipif(sys.platform == "win32", reason="shells of POSIX")
@pytest.mark.parametrize("command", [*PRINTING, "tokenize -", "run Mike --dump-csv"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere(command, closed, tmp_path):
    assert (
        in_shell(
            f"$SG {command} {closed} < /dev/null" if "<" not in closed else f"$SG {command} {closed}",
            tmp_path,
            W=str(embedded_folder()),
        ).returncode
        == 0
    )


def test_control_characters_of_tokens_and_names_are_shown_as_such(tmp_path):
    folder = shutil.copytree(embedded_folder(), tmp_path / "m")
    table = folder / "bpe_token_ids.csv"
    lines = table.read_text(encoding="utf-8").split("\n")
    lines[-2] = f"\x1b]0;title\x07\x1b[31mRED,{len(lines) - 2}"
    table.write_text("\n".join(lines), encoding="utf-8")
    last = str(len(lines) - 2)
    outputs = [
        sheetgpt("run", "--token-ids", last, "--weights", folder),
        sheetgpt("generate", "--token-ids", last, "-n", 1, "--weights", folder),
        sheetgpt("run", "Mike", "--weights", "no\x1b[31m\nfolder\x9b"),
        sheetgpt("run", "a\x1bb\x07"),
        sheetgpt("diff", "a\x1b\n", "b\r"),
    ]
    for result in outputs:
        assert "Traceback" not in result.err
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.out + result.err)
    assert r"\x1b]0;title\x07" in outputs[0].out
    assert r"no\x1b[31m\nfolder\x9b is no folder" in outputs[2].error


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("after", [0.08, 0.1, 0.12, 0.15, 0.2])
def test_ctrl_c_while_it_starts_is_one_word(after, tmp_path):
    process = started(
        "run", "Mike", "--dump-csv", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=tmp_path
    )
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1].strip()
    if process.returncode == -signal.SIGINT or "runpy" in told:
        return  # Python itself was not ready
    assert (process.returncode, told) in {(130, "Stopped."), (0, "")}


@pytest.mark.parametrize("prompt", ["-x hello", "--hello", "- a list", "-1"])
@pytest.mark.parametrize("command", ["run", "tokenize"])
def test_a_text_that_begins_with_a_dash_gets_a_hint(command, prompt):
    assert f"stands behind --: sheetgpt {command} -- TEXT" in sheetgpt(command, prompt).error
    assert sheetgpt(command, "--", prompt).code == 0


def test_a_mistyped_option_gets_its_own_hint():
    assert "--dump-xlsx" in sheetgpt("run", "--dump-xls").error
    assert "stands behind" not in sheetgpt("check", "--more").error
