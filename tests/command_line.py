"""Running a command as a user does: what it printed, and its exit code."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from unittest import mock

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


def sheetgpt_here(*arguments, cwd=".", **environment) -> Result:
    """The same in this process, which is faster: for commands that leave it as it was. Warnings are errors."""
    from sheetgpt.cli import main

    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    code: int | str | None = 0
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "warnoptions", ["error"]),
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        try:
            main(list(map(str, arguments)))
        except SystemExit as end:
            code = end.code
    out, err = (stream.buffer.getvalue().decode().replace(os.linesep, "\n") for stream in streams)
    return Result(int(code or 0), out, err)
