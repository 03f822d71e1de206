"""What several test files share: the reference's run, GPT-2's vocabulary, LibreOffice; in CI a lack is a failure."""

from __future__ import annotations

import hashlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

import doc_files
import doc_sessions
import hatch_build

SHARED = Path(os.environ.get("SHEETGPT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
IN_CI = bool(os.environ.get("CI"))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell started the tests in the background: what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)  # would not hear Ctrl-C either


def lacking(what: str, remedy: str):
    """Skip here, fail in CI: a tool that CI lacks must never look like a pass."""
    reason = f"{what} is missing: {remedy}"
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


def require(module: str, extra: str):
    """The module, or a skip (in CI a failure) that says which extra to install."""
    try:
        return __import__(module)
    except ImportError:
        lacking(module, f"pip install 'sheetgpt[{extra}]'")


def program(names: str, remedy: str) -> str:
    """The path of the first of these programs that is there, or a skip (in CI a failure) that says how to get it."""
    found = filter(None, map(shutil.which, names.split()))
    return next(found, None) or lacking(names.split(maxsplit=1)[0], remedy)


def libreoffice() -> str:
    return program("soffice libreoffice", "apt-get install libreoffice-calc")


def poppler(name: str) -> str:
    return program(name, "apt-get install poppler-utils")


NOT_FAST = {
    "oracle",
    "office",
    "browser",
    "slow",
}  # marks; and fixtures that start LibreOffice or make GPT-2's own tables:
HEAVY = {"soffice", "recalculate", "gpt2_tables", "reference_run"}
INNER = {"bpe", "files", "models", "ops", "run", "workbook"}  # rooms whose tests take a moment each; and doctests


LONG = ("slow", "office", "browser")  # marks of tests whose files take long, the longest first


def pytest_collection_modifyitems(items):
    """What the inner loop runs is `fast`. Files that take long come first: with `-n` no worker waits for one."""
    rank: dict[Path, int] = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        is_inner = item.path.parent.name in INNER or "tests" not in item.path.parts
        if is_inner and not marks & NOT_FAST and not HEAVY.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.fast)
        own = next((number for number, name in enumerate(LONG) if name in marks), len(LONG))
        rank[item.path] = min(own, rank.get(item.path, own))
    items.sort(key=lambda item: rank[item.path])


GROUPS = {  # how the names of files begin that share what takes long to make; each other file is a group of its own
    "portable": ("tests/sheets/test_portable",),
    "pages": ("tests/test_doc_sessions", "tests/test_readme", "tests/lens/test_docs", "tests/training/test_learn"),
    "figures": ("tests/test_embedded", "tests/test_positions"),
}


def group_of(file: str) -> str:
    return next((name for name, begins in GROUPS.items() if file.startswith(begins)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n`, one worker runs the whole of a group, so that its fixtures are made once.

    `--dist loadgroup` does nothing where pytest is 9.2 and xdist 3.8.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.partition("::")[0])

    config.option.loadscopereorder = False  # which would begin with the group of most tests
    return ByGroup(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(scope="session")
def walked(tmp_path_factory):
    """`walked("docs/learn")`: the page's commands, run once for all tests; see `doc_sessions.Walk`."""
    walks: dict[str, doc_sessions.Walk] = {}

    def walk(page: str) -> doc_sessions.Walk:
        if page not in walks:
            text = (doc_sessions.ROOT / f"{page}.md").read_text(encoding="utf-8")
            are_alike = doc_sessions.trained if page == "docs/learn" else doc_sessions.alike
            folder = tmp_path_factory.mktemp("page")
            doc_files.GIVEN.get(page, lambda _folder: None)(folder)
            walks[page] = doc_sessions.walked(text, folder, are_alike)
        return walks[page]

    return walk


@pytest.fixture(scope="session")
def embedded_book(tmp_path_factory):
    """`embedded_book(formulas=True)`: a workbook of the embedded model's run of README's prompt, written once.

    It takes the options of `to_excel`. Whoever changes a file changes a copy.
    """
    from sheetgpt import load_model

    folder = tmp_path_factory.mktemp("embedded")

    @cache
    def book(**options) -> Path:
        name = "-".join(options) or "values"
        return load_model().run("Mike is quick. He moves").to_excel(folder / f"{name}.xlsx", **options)

    return book


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        lacking(
            f"the reference's data ({SHARED})", "set SHEETGPT_SHARED to the folder that holds reference_run/ and data/"
        )
    return SHARED


@pytest.fixture(scope="session")
def gpt2_bpe(shared) -> Path:
    """The folder with GPT-2's own encoder.json and vocab.bpe."""
    return shared / "data" / "gpt2_bpe"


@pytest.fixture(scope="session")
def gpt2_tables(gpt2_bpe, tmp_path_factory) -> Path:
    """A folder with `vocab_bpe.csv` and `bpe_token_ids.csv` made from GPT-2's own files."""
    import csv
    import json

    folder = tmp_path_factory.mktemp("gpt2_tables")
    ids = json.loads((gpt2_bpe / "encoder.json").read_text(encoding="utf-8"))
    lines = (gpt2_bpe / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    merges = [line.split(" ") for line in lines if line]
    with (folder / "vocab_bpe.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["left", "right", "rank", "score"])
        for rank, (left, right) in enumerate(merges):
            out.writerow([left.replace("Ġ", " "), right.replace("Ġ", " "), rank, len(merges) - rank])
    with (folder / "bpe_token_ids.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        for token, i in sorted(ids.items(), key=lambda item: item[1]):
            out.writerow([token.replace("Ġ", " "), i])
    return folder


@pytest.fixture(scope="session")
def reference_run(shared, tmp_path_factory):
    """(weight folder, expected matrices by stage, expected token tables) of the reference's own run."""
    import json

    import numpy as np

    source = shared / "reference_run"
    folder = tmp_path_factory.mktemp("reference") / "weights"
    runpy.run_path(str(source / "make_weights.py"))["main"](folder, shared / "data" / "gpt2_bpe")
    expected = dict(np.load(source / "expected.npz"))
    tokens = json.loads((source / "expected_tokens.json").read_text(encoding="utf-8"))
    return folder, expected, tokens


@pytest.fixture(scope="session")
def soffice(tmp_path_factory):
    """`soffice(format, file, folder)` converts a file with LibreOffice headless, in a profile of its own."""
    office, profile = libreoffice(), tmp_path_factory.mktemp("office_profile")

    def convert(to: str, file: Path, folder: Path) -> Path:
        subprocess.run(
            [
                office,
                f"-env:UserInstallation=file://{profile}",
                "--headless",
                "--convert-to",
                to,
                "--outdir",
                str(folder),
                str(file),
            ],
            check=True,
            capture_output=True,
            timeout=300,
        )
        return folder / f"{file.stem}.{to.split(':', maxsplit=1)[0]}"

    return convert


ALWAYS_RECALCULATE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop>
</item>
</oor:items>
"""


@pytest.fixture(scope="session")
def recalculate(tmp_path_factory):
    """`recalculate(file, ...)`: copies that LibreOffice recalculated from scratch, all in one start; their paths.

    The profile says "recalculate always": cached values are not believed.
    """
    office, profile = libreoffice(), tmp_path_factory.mktemp("recalculating_profile")
    (profile / "user").mkdir()
    (profile / "user" / "registrymodifications.xcu").write_text(ALWAYS_RECALCULATE, encoding="utf-8")

    def run(*files: Path):
        folder = tmp_path_factory.mktemp("recalculated")
        command = [office, f"-env:UserInstallation=file://{profile}", "--headless", "--convert-to", "xlsx"]
        subprocess.run([*command, "--outdir", folder, *files], check=True, capture_output=True, timeout=600)
        made = [folder / file.name for file in files]
        return made[0] if len(made) == 1 else made

    return run


@pytest.fixture(scope="session")
def chromium():
    """Chromium without a window, driven by Playwright."""
    require("playwright", "test")
    from playwright.sync_api import sync_playwright

    path = program("chromium chromium-browser google-chrome", "apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path)
        yield browser
        browser.close()


# ------------------------------------------------------------------------------------------------ the page of `explore`


@pytest.fixture(scope="session")
def page_built() -> Path:
    """The folder with the built page; built once, whichever test process comes first."""
    checkout = hashlib.sha256(str(hatch_build.ROOT).encode()).hexdigest()[:16]
    with alone(Path(tempfile.gettempdir()) / f"sheetgpt-page-{checkout}.lock"):
        hatch_build.build_page()
    return hatch_build.BUILT


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time, the others wait. The system lets go of the lock where a process dies."""
    with path.open("a+") as lock:
        if sys.platform == "win32":
            import msvcrt

            lock.seek(0)
            while True:
                with suppress(OSError):  # it gives up after ten seconds
                    msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
