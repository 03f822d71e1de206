"""What the commands of a page of docs print: `python tests/page_outputs.py PAGE` writes the page's outputs anew.

An output is a block of text behind a block of one command; commands without such a block are only run.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from pathlib import Path

from command_line import sheetgpt

SHELL = re.compile(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


def printed(command: str, folder: Path) -> str:
    """What a line of the page prints. Fails where it fails."""
    program, *arguments = shlex.split(command)
    assert program == "sheetgpt", command
    done = sheetgpt(*arguments, cwd=folder)
    assert done.code == 0, (command, done.err)
    return done.out


def written_anew(page: str, folder: Path) -> str:
    """The page, every output as its command prints it now."""

    def block(found: re.Match[str]) -> str:
        outputs = [printed(command, folder) for command in found[1].splitlines()]
        return found[0] if found[2] is None else f"```sh\n{found[1]}```\n\n```text\n{''.join(outputs)}```\n"

    return SHELL.sub(block, page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for path in map(Path, sys.argv[1:]):
            path.write_text(written_anew(path.read_text(encoding="utf-8"), Path(scratch)), encoding="utf-8")
