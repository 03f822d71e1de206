"""The models that ship with sheetgpt: their names, what they are, and where they lie. A name stands for a folder.

Training them belongs in `training`, what they learned from in `corpus`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sheetgpt.errors import WeightsError

EMBEDDED = "embedded"  #: the name of the model that `load_model()` loads
ABOUT: Mapping[str, str] = {  # each but the default lies in a folder of its name
    EMBEDDED: "the default: a GPT-2 with learned positions, trained on the corpus of `sheetgpt corpus`",
    "rotary": "the same sizes and corpus with rotary positions: right wherever a sentence stands",
    "sinusoidal": "the same sizes and corpus with sinusoidal positions",
    "untrained": "the default's first weights: what everything looks like before training",
}


def embedded_folder(name: str = EMBEDDED) -> Path:
    """Where a model lies that ships with sheetgpt. Raises WeightsError where the installation has lost it."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "weights_csv", package.parent / "weights_csv"):
        if folder.is_dir():
            return folder if name == EMBEDDED else folder / name
    raise WeightsError(
        "the model that ships with sheetgpt is not installed", remedy="install sheetgpt again, or name a folder"
    )


def ships(folder: Path) -> bool:
    """Is it a model that ships with sheetgpt?"""
    return shipped_name(folder) is not None


def shipped_name(folder: Path) -> str | None:
    whole = folder.resolve()
    return next((name for name in ABOUT if embedded_folder(name).resolve() == whole), None)


def folder_name(folder: Path) -> str:
    """What a dump calls the folder: its whole path, or a shipped model's name, so that dumps are the same anywhere."""
    return shipped_name(folder) or str(folder.resolve())


def named_folder(name: str | Path) -> Path:
    """The folder of a model's name, as `folder_name` gives it, or of a path.

    A folder that is called like a shipped model is meant only by a path, such as `./rotary`.
    """
    return embedded_folder(name) if isinstance(name, str) and name in ABOUT else Path(name)


def typed(folder: str | Path) -> str:
    """What to type for a folder where a name may stand, too.

    >>> typed(Path("my_model")), typed(Path("rotary"))
    ('my_model', './rotary')
    """
    return f"./{folder}" if str(folder) in ABOUT else str(folder)


def or_a_name() -> str:
    """The end of a remedy: what may be given instead of a folder."""
    return f"or one that ships with sheetgpt: {', '.join(ABOUT)}"
