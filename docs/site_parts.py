"""What the pages need beyond Sphinx: a command's help, links that leave the folder, the gallery's pages.

A page says

    ```{help} run
    ```

for what `sheetgpt run --help` prints. Links to the README files of other folders lead to the pages that include them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive

from sheetgpt.cli import cli

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WIDTH = 100  # columns of a command's help
ELSEWHERE = {  # what lies outside the site's folder, and the page that includes it
    "../README.md": "index.md",
    "../CHANGELOG.md": "changelog.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../weights_csv/README.md": "embedded.md",
}
LINK = re.compile(r"\]\((\.\./[^)#]*)")


def help_of(name: str) -> str:
    """What `sheetgpt NAME --help` prints."""
    context = click.Context(cli, info_name="sheetgpt", max_content_width=WIDTH, terminal_width=WIDTH)
    command = cli.get_command(context, name)
    if command is None:
        raise ValueError(f"no command is called {name}")
    inner = click.Context(command, parent=context, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH)
    return command.get_help(inner)


class Help(Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        text = f"$ sheetgpt {name} --help\n{help_of(name)}"
        return [nodes.literal_block(text, text, language="text", classes=["help"])]


def keep_links_inside(_app: Sphinx, page: str, source: list[str]) -> None:
    """Links out of the folder become links to the page that includes what they name."""
    up = "../" * page.count("/")

    def inside(found: re.Match[str]) -> str:
        path = found[1].removeprefix(up) if up else found[1]
        return f"]({up}{ELSEWHERE[path]}" if path in ELSEWHERE else found[0]

    source[0] = LINK.sub(inside, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("help", Help)
    app.connect("source-read", keep_links_inside)
    return {"parallel_read_safe": True, "version": "1"}
