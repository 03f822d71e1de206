"""Pages whose commands are run and whose printed answers are compared; the answers can be written anew.

    python tests/doc_sessions.py --update docs/lesson.md

A session is a block marked `console`: lines that begin with `$ ` are typed, the lines under each are what is printed,
on standard error first. Under a command a last line `...` stands for whatever else is printed. All sessions of a page
run one after the other in one empty folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SESSION = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
PROMPT, MORE = "$ ", "..."
REST = re.compile(r"\r|tokens/s")  # progress, which differs from time to time


def typed(command: str, folder: Path) -> str:
    """What a command prints. Only `sheetgpt` and `printf` are known."""
    words = shlex.split(command, comments=True)
    if words[0] == "sheetgpt":
        line, is_shell = [sys.executable, "-m", "sheetgpt", *words[1:]], False
    else:
        assert words[0] == "printf", command
        line, is_shell = command, True
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "110", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        line,
        shell=is_shell,
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    told = [one for one in done.stderr.splitlines() if not REST.search(one)]
    assert "Traceback" not in done.stderr, (command, done.stderr)
    return "".join(f"{one.rstrip()}\n" for one in [*told, *done.stdout.splitlines()])


def answered(text: str, folder: Path) -> str:
    """A page with what its commands print now."""

    def session(found: re.Match[str]) -> str:
        return COMMAND.sub(lambda one: f"{PROMPT}{one[1]}\n{shown(typed(one[1], folder), one[2])}", found[0])

    return SESSION.sub(session, text)


def shown(printed: str, before: str) -> str:
    """As much of it as the page shows."""
    lines = before.splitlines()
    if not lines or lines[-1].strip() != MORE:
        return printed
    return "".join([*printed.splitlines(keepends=True)[: len(lines) - 1], f"{MORE}\n"])


def commands(text: str) -> list[str]:
    return [one[1] for session in SESSION.findall(text) for one in COMMAND.finditer(session)]


if __name__ == "__main__":
    option, *pages = sys.argv[1:]
    assert option == "--update", __doc__
    for page in map(Path, pages):
        with tempfile.TemporaryDirectory() as empty:
            page.write_text(answered(page.read_text(encoding="utf-8"), Path(empty)), encoding="utf-8")
