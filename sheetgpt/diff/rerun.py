"""The model that LEFT names, at hand: its token table, and its run of RIGHT's tokens where LEFT's are others."""

from __future__ import annotations

from pathlib import Path

from sheetgpt.bpe import Tokenizer
from sheetgpt.diff.sides import Side, Weights
from sheetgpt.errors import SheetGPTError
from sheetgpt.weights.embedded import named_folder


def folder_of(side: Side, weights: Weights = None) -> Path | None:
    """Of its model: the folder given, else the one that the side's manifest names."""
    name = weights if isinstance(weights, str | Path) else side.about.get("weights")
    return named_folder(name) if name else None


def tokenizer_of(side: Side) -> Tokenizer | None:
    """The token table of the side's model; None where it names none, or a model without a table."""
    folder = folder_of(side)
    try:
        return Tokenizer.read(folder) if folder else None
    except SheetGPTError:
        return None


def run_of_right(left: Side, right: Side, weights: Weights = None) -> Side | None:
    """What LEFT's model makes of RIGHT's token ids, where these are others; None where it can't be run."""
    from sheetgpt.diff.sides.run import RunSide
    from sheetgpt.model import load_model

    folder = folder_of(left, weights)
    if folder is None or not right.token_ids or left.token_ids == right.token_ids:
        return None
    try:
        model = load_model(folder, str(left.about.get("dtype", "float64")))
        return RunSide(model.run(token_ids=right.token_ids), model.weights, f"{left.label}, of RIGHT's tokens")
    except SheetGPTError:
        return None
