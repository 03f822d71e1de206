"""The model that ships with sheetgpt: where it lies, and the name that stands for its folder."""

from __future__ import annotations

from pathlib import Path

from sheetgpt.errors import WeightsError
from sheetgpt.files.paths import existing

EMBEDDED = "embedded"


def embedded_folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "weights_csv", package.parent / "weights_csv"):
        if folder.is_dir():
            return folder
    raise WeightsError(
        "the model that ships with sheetgpt is not installed", remedy="install sheetgpt again, or name a folder"
    )


def folder_name(folder: Path) -> str:
    """What a dump calls the folder: its whole path, or `embedded`, so that dumps are the same wherever it lies."""
    return EMBEDDED if folder.resolve() == embedded_folder().resolve() else str(folder.resolve())


def named_folder(name: str | Path) -> Path:
    """The folder that `folder_name` has named."""
    return embedded_folder() if str(name) == EMBEDDED and existing(EMBEDDED) is None else Path(name)
