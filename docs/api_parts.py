"""What the reference of the API needs beyond autodoc: types and shapes as people know them, links to names.

A page links to a name by `[`load_model`](model.md#sheetgpt.model.load_model)`: a forge opens the page, the site finds
the name on it.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from inspect import getsource
from pkgutil import walk_packages
from types import ModuleType
from typing import TYPE_CHECKING, Any

from docutils.nodes import Element
from sphinx.addnodes import desc_signature
from sphinx.pycode import ModuleAnalyzer

import sheetgpt

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NOT_IMPORTED = ("sheetgpt.__main__", "sheetgpt.explore")  # a program; and what no reference is about
MEMBERS = ("attribute", "property", "method", "classmethod", "staticmethod")
NO_VALUE = re.compile(r"<(factory|function <lambda>)>")
SHAPE = re.compile(r"\[(?:\.\.\.|[A-Za-z1])[^\]'\"]*\]")
LINK = re.compile(r"\[`([^`\]]+)`\]\([\w./]*\.md#(sheetgpt[\w.]+)\)")


def give_types(_app: Sphinx) -> None:
    """Import what annotations name and only a type checker imports, so that signatures show it."""
    for found in walk_packages(sheetgpt.__path__, "sheetgpt."):
        if not found.name.startswith(NOT_IMPORTED):
            module = import_module(found.name)
            exec(compile(imports_for_types(module), found.name, "exec"), vars(module))  # noqa: S102 - our own imports


def imports_for_types(module: ModuleType) -> ast.Module:
    """The imports under `if TYPE_CHECKING`."""
    blocks = [node for node in ast.parse(getsource(module) or "").body if isinstance(node, ast.If)]
    checked = [block for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING"]
    imports = [node for block in checked for node in block.body if isinstance(node, ast.ImportFrom | ast.Import)]
    return ast.Module(imports, [])


def home_of(module: str, name: str) -> str:
    """The module in which a name that another one imports is assigned."""
    for node in ast.parse(getsource(import_module(module))).body:
        if isinstance(node, ast.ImportFrom) and node.module and name in [one.asname or one.name for one in node.names]:
            return home_of(node.module, name)
    return module


def add_comment(_app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """The `#:` comment of a constant that is imported from another module; autodoc looks only where it is asked."""
    if what == "data":
        module, _, own = name.rpartition(".")
        comments = ModuleAnalyzer.for_module(home_of(module, own)).find_attr_docs()
        lines[:] = comments.get(("", own), lines)


def set_shapes(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Shapes as code, up to an example: `[..., T, d]` with its three dots."""
    end = next((number for number, line in enumerate(lines) if line.startswith(">>>")), len(lines))
    texts = "\n".join(lines[:end]).split("`")  # every second one is code already
    texts[::2] = [SHAPE.sub(r"``\g<0>``", text) for text in texts[::2]]
    lines[:end] = "`".join(texts).split("\n")


def show_defaults(_app: Sphinx, *about: Any) -> tuple[str | None, str | None]:
    """Defaults that are made anew, or functions, as `...`: as Python writes them no signature can be read."""
    signature, returned = about[-2:]
    return signature and NO_VALUE.sub("...", signature), returned


def list_without_members(_app: Sphinx, _domain: str, kind: str, content: Element) -> None:
    """The contents of a page list classes and functions: with all members, every page takes long to write."""
    if kind in MEMBERS:
        for signature in content.parent.findall(desc_signature):
            signature["_toc_name"] = ""


def link_names(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = LINK.sub(r"{py:obj}`\1 <\2>`", source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", give_types)
    app.connect("autodoc-process-docstring", add_comment)
    app.connect("autodoc-process-docstring", set_shapes)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("object-description-transform", list_without_members)
    app.connect("source-read", link_names)
    return {"parallel_read_safe": True, "version": "1"}
