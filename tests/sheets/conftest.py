"""Portable live workbooks that several files read: written once."""

from __future__ import annotations

from pathlib import Path

import pytest

import portable_books
from sheetgpt.model import Model


@pytest.fixture(scope="session")
def portable_models(tmp_path_factory) -> dict[str, Model]:
    return portable_books.models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def portable_files(portable_models, tmp_path_factory) -> dict[str, Path]:
    """Each model's workbook. Whoever changes a file changes a copy."""
    return portable_books.written(portable_models, tmp_path_factory.mktemp("written"))
