"""What the pages need beyond Sphinx: a command's help, links that leave the folder, the gallery's pages.

A page says

    ```{help} run
    sheetgpt run --help
    ```

for what that prints. Links to the README files of other folders lead to the pages that include them.
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

WIDTH = 92  # columns of a command's help: as wide as the text
ELSEWHERE = {  # what lies outside the site's folder, and the page that includes it
    "../README.md": "index.md",
    "../CHANGELOG.md": "changelog.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../weights_csv/README.md": "embedded.md",
}
LINK = re.compile(r"\]\((\.\./[^)#]*)")


def help_of(name: str) -> str:
    """What `sheetgpt NAME --help` prints on a terminal of WIDTH columns, of which click leaves two free."""
    group = click.Context(cli, info_name="sheetgpt", terminal_width=WIDTH - 2, **cli.context_settings)
    command = cli.get_command(group, name)
    if command is None:
        raise ValueError(f"no command is called {name}: there are {', '.join(cli.list_commands(group))}")
    return command.get_help(click.Context(command, group, name))


class Help(Directive):
    """What is typed and what it prints. What the block holds is for readers of the plain file."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            text = f"$ sheetgpt {name} --help\n{help_of(name)}"
        except ValueError as error:
            raise self.warning(str(error)) from None
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
