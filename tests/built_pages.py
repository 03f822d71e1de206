"""Follows the pages under docs/built: makes the edits that a page shows in a copy of the checkout, runs its commands.

    python tests/built_pages.py --update docs/built/model.md

writes the answers that the page's sessions have now. Of a page's blocks, `python`, `ts` and `diff` behind a line that
names a file are what stands in that file, `sh` and `console` are commands. There are no others, so nothing on a page is
left untried. A page may build on others: `NEEDS` says on which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "built"
NEEDS = {"model": ("operation",)}
COPIED = ("sheetgpt", "weights_csv", "tests", "docs/built", "pyproject.toml", "hatch_build.py")
LEFT = shutil.ignore_patterns("__pycache__", ".sheetgpt_cache", "node_modules")
NEW, END, IN = "A new file", "At the end of", "In"
HEADING = rf"(?P<how>{NEW},|{END}|{IN})\s`(?P<path>[\w./]+)`[^\n]*:\n\n"
BLOCK = re.compile(rf"(?:{HEADING})?^```(?P<kind>\S+)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
GAP = re.compile(r"^@@\n", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; how and path say what becomes of it, where it belongs in a file."""

    kind: str
    text: str
    how: str = ""
    path: str = ""


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order.

    >>> blocks("In `a/b.py`:\\n\\n```diff\\n a\\n+b\\n```\\n")
    [Block(kind='diff', text=' a\\n+b\\n', how='In', path='a/b.py')]
    """
    found = BLOCK.finditer(page)
    return [Block(one["kind"], one["text"], (one["how"] or "").rstrip(","), one["path"] or "") for one in found]


def text_of(page: str) -> str:
    return (PAGES / f"{page}.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ a copy to edit


def followed(page: str, checkout: Path, folder: Path) -> None:
    """A copy of the checkout with all that a page shows; files that it names without a folder are put into `folder`."""
    copy(checkout)
    for one in (*NEEDS.get(page, ()), page):
        for block in blocks(text_of(one)):
            if block.path:
                put(block, (checkout if "/" in block.path else folder) / block.path)


def copy(checkout: Path) -> None:
    checkout.mkdir()
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree(source, checkout / name, ignore=LEFT) if source.is_dir() else shutil.copy(source, checkout))


def put(block: Block, path: Path) -> None:
    """What a page shows, in its file."""
    if block.how == NEW:
        assert not path.exists(), f"{path} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8", newline="")
        return
    before = path.read_text(encoding="utf-8")
    blank = "\n\n" if path.suffix == ".py" else "\n"
    now = f"{before}{blank}{block.text}" if block.how == END else changed(before, block.text)
    path.write_text(now, encoding="utf-8", newline="")


def changed(text: str, diff: str) -> str:
    """A text after the changes of a diff, whose `@@` stands for any lines between. Fails where one doesn't fit.

    >>> changed("a\\nb\\nc\\nd\\n", "-a\\n+A\\n@@\\n c\\n+C\\n")
    'A\\nb\\nc\\nC\\nd\\n'
    """
    for hunk in GAP.split(diff):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        places = [found.start() for found in re.finditer(rf"^{re.escape(old)}", text, re.MULTILINE)]
        assert len(places) == 1, f"stands in the file {len(places)} times:\n{old}"
        text = text[: places[0]] + new + text[places[0] + len(old) :]
    return text


# ------------------------------------------------------------------------------------------------ its commands


def shell_lines(page: str) -> Iterator[str]:
    """The commands of blocks marked `sh`, which show no answer."""
    for block in blocks(text_of(page)):
        if block.kind == "sh":
            yield from filter(None, block.text.splitlines())


def python(*arguments: str | Path, checkout: Path, at: Path) -> str:
    """What Python prints with that checkout's package. Fails where it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (checkout, checkout / "tests")))}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=at,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


WALK = """
import pathlib, sys
import doc_sessions
page, folder = map(pathlib.Path, sys.argv[2:])
text = page.read_text(encoding="utf-8")
if sys.argv[1] == "--update":
    page.write_text(doc_sessions.answered(text, folder), encoding="utf-8")
else:
    print("\\n".join(doc_sessions.walked(text, folder, doc_sessions.trained).differences))
"""


def walk(page: str, checkout: Path, folder: Path, option: str = "--compare") -> str:
    """The sessions of a page in one process: how the answers differ from those that it shows."""
    copied = checkout / "docs" / "built" / f"{page}.md"
    return python("-c", WALK, option, copied, folder, checkout=checkout, at=folder).strip()


if __name__ == "__main__":
    option, *files = sys.argv[1:]
    assert option == "--update", __doc__
    for file in map(Path, files):
        with tempfile.TemporaryDirectory() as empty:
            checkout, folder = Path(empty) / "checkout", Path(empty) / "folder"
            folder.mkdir()
            followed(file.stem, checkout, folder)
            walk(file.stem, checkout, folder, option)
            shutil.copy(checkout / "docs" / "built" / file.name, file)
