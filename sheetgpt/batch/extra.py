"""What the extra `batch` brings, imported where it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sheetgpt.errors import SheetGPTError


def needed(module: str) -> Any:
    """The module. Raises SheetGPTError that says what to install."""
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        remedy = 'pip install "sheetgpt[batch]"'
        raise SheetGPTError(f"many prompts need {package}, which is not installed", remedy=remedy) from None
