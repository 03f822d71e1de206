"""Running a command as a user does: what it printed, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

# Python code that kills the process while it writes its nth matrix, n being the first argument, which it takes away.
KILLED_WHILE_WRITING = """
import os, sys
from sheetgpt.files import decimals
written, text, last = 0, decimals.to_text, int(sys.argv.pop(1))
def killed(matrix):
    global written
    written += 1
    for block in text(matrix):
        yield block
        if written == last:
            os.kill(os.getpid(), 9)
decimals.to_text = killed
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a refusal. Fails where it isn't one line, or the exit code isn't 2."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.err.startswith(("Error: ", "Usage: ")), self.err
        line = self.err.rstrip("\n").rpartition("Error: ")[2]
        assert "\n" not in line, self.err
        return line


def sheetgpt(*arguments, cwd=None, **environment) -> Result:
    """Run `sheetgpt ARGUMENTS` in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", "sheetgpt", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Result(process.returncode, process.stdout, process.stderr)
