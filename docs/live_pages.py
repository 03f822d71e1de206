"""Pages of `explore` that stand live among the docs: made when the site is, by the lines that the docs show.

    ```{live} run.html
    :at: block_1_step_7[2,5,2]
    sheetgpt explore "Mike is quick. He moves" --export run.html
    ```

The lines are commands, or with `:python:` Python, run in an empty folder; what they leave under that name is shown, at
the cell that `:at:` names. A forge that doesn't know the directive shows the lines.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from sheetgpt.cli import cli

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = "live"  # of the built site
HEIGHT = "760px"


class Live(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "at": directives.unchanged,
        "python": directives.flag,
        "height": directives.unchanged,
        "title": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        name, lines = self.arguments[0], "\n".join(self.content)
        is_python = "python" in self.options
        code = nodes.literal_block(lines, lines, language="python" if is_python else "sh")
        try:
            made = page(name, lines, is_python=is_python)
        except Exception as error:  # noqa: BLE001 - whatever the lines do wrong is a warning at their place
            raise self.warning(f"{name} could not be made: {error}") from None
        self.env.live_pages[name] = made  # type: ignore[attr-defined]
        return [code, nodes.raw("", self.frame(name), format="html")]

    def frame(self, name: str) -> str:
        """The page in a frame, and a link to it alone."""
        at = self.options.get("at")
        up = "../" * self.env.docname.count("/")
        address = f"{up}{FOLDER}/{name}" + (f"#{quote(at)}" if at else "")
        title, height = self.options.get("title", name), self.options.get("height", HEIGHT)
        return (
            f'<p class="live-link"><a class="reference external" href="{address}">Open it in the whole window</a></p>'
            f'<iframe class="live" src="{address}" title="{title}" loading="lazy" style="height: {height}"></iframe>'
        )


def page(name: str, lines: str, *, is_python: bool) -> bytes:
    """The file of that name that the lines leave in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        if is_python:
            exec(compile(lines, name, "exec"), {})  # noqa: S102 - the page's own lines
        else:
            for line in lines.splitlines():
                run(shlex.split(line))
        return Path(name).read_bytes()


def run(words: list[str]) -> None:
    program, *arguments = words
    if program != "sheetgpt":
        raise ValueError(f"a line begins with sheetgpt, not {program}")
    cli.main(arguments, "sheetgpt", standalone_mode=False)


def write(app: Sphinx, error: Exception | None) -> None:
    """Once the site is there, the pages beside it."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name, made in app.env.live_pages.items():  # type: ignore[attr-defined]
        (folder / name).write_bytes(made)


def begin(app: Sphinx) -> None:
    if not hasattr(app.env, "live_pages"):
        app.env.live_pages = {}  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("live", Live)
    app.connect("builder-inited", begin)
    app.connect("build-finished", write)
    return {"version": "1"}
