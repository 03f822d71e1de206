"""LibreOffice as somebody who has a workbook open: load it, recalculate everything, type into cells, read others.

`session(program, workbook, typed, read)` starts LibreOffice without a window, in a profile of its own, and runs one
macro in it, so that load, recalculation and each change are timed inside the program. Where LibreOffice is, what a
workbook holds, and whether the answers are right, is left to those who ask.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path

LIBRARY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE library:library PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "library.dtd">
<library:library xmlns:library="http://openoffice.org/2000/library" library:name="Standard" library:readonly="false"
 library:passwordprotected="false"><library:element library:name="Session"/></library:library>
"""
MODULE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Session" script:language="StarBasic">
{}</script:module>
"""
BASIC = """Sub Main
  Dim hidden(0) As New com.sun.star.beans.PropertyValue
  hidden(0).Name = "Hidden"
  hidden(0).Value = True
  Dim began As Long, book As Object
  Open "{report}" For Output As #1
  began = GetSystemTicks()
  book = StarDesktop.loadComponentFromURL("{url}", "_blank", 0, hidden())
  Print #1, "load" & Chr(9) & (GetSystemTicks() - began)
  began = GetSystemTicks()
{recalculation}  Print #1, "recalculate" & Chr(9) & (GetSystemTicks() - began)
  began = GetSystemTicks()
{reads}  Print #1, "read" & Chr(9) & (GetSystemTicks() - began)
{changes}  Print #1, "end"
  Close #1
  book.close(True)
  StarDesktop.terminate()
End Sub
"""
RECALCULATION = "  book.calculateAll()\n"
CHANGE = """  began = GetSystemTicks()
  book.Sheets.getByName("{tab}").getCellRangeByName("{cell}").{what}
  Print #1, "typed"
{reads}  Print #1, "change" & Chr(9) & (GetSystemTicks() - began)
"""
READ = """  Print #1, "cell" & Chr(9) & book.Sheets.getByName("{tab}").getCellRangeByName("{cell}").getString()
"""
Cell = tuple[str, str]  # tab, address
Typed = Sequence[tuple[Cell, str | float]]


@dataclass(frozen=True)
class Session:
    """Seconds that each thing took, and the texts that the read cells showed after it."""

    load: float
    recalculation: float
    reading: float  # for the first time, what is read
    changes: list[float]
    shown: list[list[str]]  # after the recalculation, then after each change


def session(
    program: str, workbook: Path, typed: Typed, read: Sequence[Cell], *, timeout: float, recalculated: bool = True
) -> Session:
    """Open a workbook, recalculate it, type into cells one after the other. Raises where LibreOffice fails.

    recalculated: else what stands in the file is taken as it is, and only what is read is computed.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        office = [program, f"-env:UserInstallation=file://{folder}", "--headless", "--norestore"]
        wait_for([*office, "--terminate_after_init"], timeout)  # it makes the profile, with a library of its own
        write_macro(Path(folder), basic(workbook, report, typed, read, recalculated))
        wait_for([*office, "macro:///Standard.Session.Main"], timeout)
        lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
        return read_report(lines)


def wait_for(command: Sequence[str], timeout: float) -> None:
    """Until a program has ended; nothing that it started is left behind."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        process.wait(timeout)
    finally:
        if os.name == "nt":
            process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_report(lines: Sequence[str]) -> Session:
    if not lines or lines[-1] != "end":
        raise RuntimeError(f"LibreOffice's macro ended early: {lines}")
    seconds: dict[str, list[float]] = {"load": [], "recalculate": [], "read": [], "change": []}
    shown: list[list[str]] = [[]]
    for line in lines[:-1]:
        key, _, text = line.partition("\t")
        if key == "typed":
            shown.append([])
        elif key == "cell":
            shown[-1].append(text)
        else:
            seconds[key].append(int(text) / 1000)
    load, recalculation, reading = (seconds[key][0] for key in ("load", "recalculate", "read"))
    return Session(load, recalculation, reading, seconds["change"], shown)


def basic(workbook: Path, report: Path, typed: Typed, read: Sequence[Cell], recalculated: bool) -> str:
    reads = "".join(READ.format(tab=quoted(tab), cell=cell) for tab, cell in read)
    changes = "".join(
        CHANGE.format(tab=quoted(tab), cell=cell, what=setting(one), reads=reads) for (tab, cell), one in typed
    )
    url = quoted(workbook.resolve().as_uri())
    recalculation = RECALCULATION if recalculated else ""
    report_path = quoted(str(report))
    return BASIC.format(report=report_path, url=url, recalculation=recalculation, reads=reads, changes=changes)


def setting(typed: str | float) -> str:
    return f'setString("{quoted(typed)}")' if isinstance(typed, str) else f"setValue({typed!r})"


def quoted(text: str) -> str:
    return text.replace('"', '""')


def write_macro(folder: Path, macro: str) -> None:
    """Put the macro in place of the one that a new profile has."""
    library = folder / "user" / "basic" / "Standard"
    (library / "script.xlb").write_text(LIBRARY, encoding="utf-8")
    (library / "Session.xba").write_text(MODULE.format(escape(macro)), encoding="utf-8")
