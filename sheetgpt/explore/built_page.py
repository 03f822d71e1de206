"""The page as it was bundled when the package was built."""

from __future__ import annotations

from pathlib import Path

from sheetgpt.errors import SheetGPTError

BUILT = Path(__file__).with_name("built")
SCRIPT, STYLE = "page.js", "page.css"
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>sheetgpt</title>
"""


class PageMissingError(SheetGPTError):
    """The package was built where npm's registry could not be reached."""


def require_built() -> None:
    """Raises PageMissingError where there is no page to show."""
    if not (BUILT / SCRIPT).is_file():
        raise PageMissingError(
            "the page of explore is not in this installation, as npm's registry could not be reached when it was built",
            remedy="install sheetgpt again with a connection, or run `python hatch_build.py` in its checkout",
        )


def text(name: str) -> str:
    """A built file. Raises PageMissingError."""
    require_built()
    return (BUILT / name).read_text(encoding="utf-8")


def served() -> str:
    """The page that asks the server it comes from."""
    style, script = f"<link rel='stylesheet' href='{STYLE}'>", f"<script src='{SCRIPT}'></script>"
    return f"{HEAD}{style}\n</head>\n<body>\n{script}\n</body>\n</html>\n"
