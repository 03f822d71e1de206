"""GPT-2 as a spreadsheet.

>>> from sheetgpt import load_model
>>> trace = load_model().run("Mike is quick. He moves")
>>> trace["predicted_token"].iloc[2, 1]
' quickly'

Comparing: `sheetgpt.diff` (`diff`, `open_side`); a run changed: `sheetgpt.run.edit`; learning: `sheetgpt.training`;
what the numbers mean: `sheetgpt.lens`; many prompts: `sheetgpt.batch`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sheetgpt.errors import SheetGPTError

if TYPE_CHECKING:
    from sheetgpt.bpe import Tokenizer as Tokenizer
    from sheetgpt.model import Model as Model
    from sheetgpt.model import load_model as load_model
    from sheetgpt.models.config import Config as Config
    from sheetgpt.models.step import Step as Step
    from sheetgpt.run.trace import Trace as Trace

_HOMES = {  # imported when they are asked for: numpy would otherwise slow `sheetgpt --help`
    "Config": "sheetgpt.models.config",
    "Model": "sheetgpt.model",
    "Step": "sheetgpt.models.step",
    "Tokenizer": "sheetgpt.bpe",
    "Trace": "sheetgpt.run.trace",
    "load_model": "sheetgpt.model",
}
__all__ = ["Config", "Model", "SheetGPTError", "Step", "Tokenizer", "Trace", "load_model"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in ("batch", "lens"):
        return import_module(f"sheetgpt.{name}")
    raise AttributeError(f"module 'sheetgpt' has no attribute {name!r}")
