"""The reference of the API: every public name stands on one page, and its docstring says what a reader needs.

Public is what a module's `__all__` lists. `python tests/test_api.py` prints the count, and what is missing.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import sheetgpt
from sheetgpt import errors

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
DIRECTIVE = re.compile(r"^\.\. auto(?:class|function|data):: (sheetgpt[\w.]+)$", re.MULTILINE)
ARRAYS = re.compile(r"\b(ndarray|Array|DataFrame|Series|Matrices|Batch|Gradients|NamedArrays)\b")
SHAPE = re.compile(r"\[[^\]]+\]")
LEAST = 1500  # public names, members included: a reference does not lose them unnoticed
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Public:
    """A public name, or a member of a public class: what is said of it, and its source where that is a function's."""

    name: str
    said: str
    source: ast.AST | None = None

    @property
    def errors_raised(self) -> set[type]:
        """The package's errors that its own lines raise."""
        raised = [node.exc for node in own_nodes(self.source) if isinstance(node, ast.Raise)]
        names = {one.func.id for one in raised if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
        return {found for name in names if inspect.isclass(found := getattr(errors, name, None))}

    @property
    def takes_arrays(self) -> bool:
        """Do its annotations name an array or a frame?"""
        if isinstance(self.source, ast.AnnAssign):
            return bool(ARRAYS.search(ast.unparse(self.source.annotation)))
        if not isinstance(self.source, Function):
            return False
        given = self.source.args
        found = [one.annotation for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg) if one]
        return any(ARRAYS.search(ast.unparse(one)) for one in (*found, self.source.returns) if one)


def own_nodes(node: ast.AST | None) -> Iterator[ast.AST]:
    """What is in a function, but for what is in functions inside it."""
    for child in ast.iter_child_nodes(node) if isinstance(node, Function) else ():
        yield child
        yield from inner_nodes(child)


def inner_nodes(node: ast.AST) -> Iterator[ast.AST]:
    if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
        for child in ast.iter_child_nodes(node):
            yield child
            yield from inner_nodes(child)


# ------------------------------------------------------------------------------------------------ what is public


@cache
def source_of(module: str) -> tuple[ast.Module, list[str]]:
    text = Path(inspect.getsourcefile(import_module(module)) or "").read_text(encoding="utf-8")
    return ast.parse(text), text.splitlines()


def modules() -> list[str]:
    """Those that say what is public."""
    package = Path(sheetgpt.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    found = [
        path.relative_to(package.parent) for path, text in texts.items() if re.search(r"^__all__ =", text, re.MULTILINE)
    ]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in found)


def home_of(module: str, name: str) -> tuple[str, str]:
    """(the module, the name) where what this name stands for is made."""
    found = getattr(import_module(module), name)
    own = getattr(found, "__module__", "")
    if (inspect.isclass(found) or inspect.isfunction(found)) and own.startswith("sheetgpt"):
        return own, found.__qualname__
    for node in source_of(module)[0].body:
        if isinstance(node, ast.ImportFrom) and node.module and name in {one.name for one in node.names}:
            return home_of(node.module, name)
    return module, name


def homes() -> set[tuple[str, str]]:
    return {home_of(module, name) for module in modules() for name in import_module(module).__all__}


def directives() -> list[tuple[str, str]]:
    """(page, name) of all that stands on the pages."""
    return [(page.stem, name) for page in PAGES for name in DIRECTIVE.findall(page.read_text(encoding="utf-8"))]


def comment_at(module: str, node: ast.stmt) -> str:
    """What `#:` says behind an assignment, or in the lines before it."""
    lines = source_of(module)[1]
    behind = lines[node.end_lineno - 1].partition("#: ")[2]
    before, at = "", node.lineno - 2
    while lines[at].strip().startswith("#: "):
        before, at = f"{lines[at].strip()[3:]} {before}", at - 1
    return behind or before


def top_level(tree: ast.Module | ast.If) -> Iterator[ast.stmt]:
    for node in (*tree.body, *getattr(tree, "orelse", ())):
        yield from top_level(node) if isinstance(node, ast.If) else [node]


def names_of(node: ast.AST) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    inner = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [one.id for one in inner if isinstance(one, ast.Name)]


@cache
def everything() -> tuple[Public, ...]:
    return tuple(public for module, name in sorted(homes()) for public in publics(module, name))


def publics(module: str, name: str) -> Iterator[Public]:
    """A name, and the members of a class."""
    found, where = getattr(import_module(module), name), f"{module}.{name}"
    nodes = [node for node in source_of(module)[0].body if getattr(node, "name", None) == name]
    if inspect.isclass(found) and nodes:
        yield Public(where, found.__dict__.get("__doc__") if ast.get_docstring(nodes[0]) else "")
        yield from members(found, nodes[0], where)
    elif nodes:
        yield Public(where, inspect.getdoc(found) or "", nodes[0])
    else:
        assigned = [node for node in top_level(source_of(module)[0]) if name in names_of(node)]
        yield Public(where, comment_at(module, assigned[-1]))


def members(cls: Any, node: ast.ClassDef, where: str) -> Iterator[Public]:
    """Fields by their comments, functions and properties by their docstrings, which may be those of a base."""
    is_enum = hasattr(cls, "__members__")
    for part in node.body:
        if isinstance(part, Function) and (not part.name.startswith("_") or part.name in ("__init__", "__post_init__")):
            said = said_of(cls, part.name)
            if part.name.startswith("__"):  # a reader sees these with the class
                said = f"{inspect.getdoc(cls)} {ast.get_docstring(part) or ''}"
            yield Public(f"{where}.{part.name}", said, part)
        elif isinstance(part, ast.AnnAssign) and not is_enum:
            yield from (Public(f"{where}.{name}", comment_at(cls.__module__, part), part) for name in names_of(part))


def said_of(cls: Any, name: str) -> str:
    """A member's docstring, or that of the same member of a base."""
    found = (getattr(vars(base).get(name), "__doc__", None) for base in cls.__mro__ if name in vars(base))
    return next(filter(None, found), "")


def listed(found: list[Any]) -> str:
    return "\n".join(map(str, found))


# ------------------------------------------------------------------------------------------------ laws


def test_every_public_name_stands_on_exactly_one_page():
    on_pages = [home_of(*name.rpartition(".")[::2]) for _, name in directives()]
    assert [home for home, count in Counter(on_pages).items() if count > 1] == []
    assert set(on_pages) == homes()


def test_pages_name_what_a_module_says_is_public():
    strange = [name for _, name in directives() if not is_listed(*name.rpartition(".")[::2])]
    assert not strange, listed(strange)


def is_listed(module: str, name: str) -> bool:
    return name in getattr(import_module(module), "__all__", ())


def test_every_public_name_has_a_docstring():
    without = [public.name for public in everything() if not public.said.strip()]
    assert not without, (
        f"{len(everything()) - len(without)} of {len(everything())} have one, these don't:\n{listed(without)}"
    )
    assert len(everything()) >= LEAST


def test_docstrings_name_the_errors_that_are_raised():
    silent = [
        f"{public.name}: {error.__name__}"
        for public in everything()
        for error in public.errors_raised
        if not any(base.__name__ in public.said for base in error.__mro__ if issubclass(base, errors.SheetGPTError))
    ]
    assert not silent, listed(silent)


def test_docstrings_say_the_shapes_of_arrays_and_frames():
    shapeless = [public.name for public in everything() if public.takes_arrays and not SHAPE.search(public.said)]
    assert not shapeless, listed(shapeless)


if __name__ == "__main__":
    missing = [public.name for public in everything() if not public.said.strip()]
    print(f"{len(everything()) - len(missing)} of {len(everything())} public names have a docstring")
    print(listed(missing))
