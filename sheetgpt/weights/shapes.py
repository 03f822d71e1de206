"""The shapes of a folder's CSVs: held against those that the constants ask for, or the constants inferred from them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from sheetgpt.errors import WeightsError
from sheetgpt.files import decimals
from sheetgpt.models.config import CONSTANTS_FILE, REFERENCE_HEAD_SIZE, Config
from sheetgpt.models.gpt2 import WPE, WTE
from sheetgpt.models.kinds import Shape, kind_of, known_names

AGAIN = "get or convert the model again"


def require_shares(csv: Path, config: Config, numbers: np.ndarray | float) -> None:  # a matrix, or its least number
    """Raises WeightsError where a model's weights are shares of their sum, and the least of these is none."""
    if kind_of(config).plain_shares and not (least := np.min(numbers)) > 0:
        what = f"holds {least:g}, and each weight of the {config.model} is a share of their sum"
        raise WeightsError(what, where=csv, remedy="write a number above 0")


def require_shape(csv: Path, shape: Shape, expected: Shape) -> None:
    """Raises WeightsError that says what is probably wrong: a header, an index, a torn file."""
    if shape == expected:
        return
    first = first_row(csv)
    if shape[0] == expected[0] + 1 and is_header(first):
        raise header_error(csv)
    if shape[1] == expected[1] + 1 and shape[0] > 1 and first[0] == 0:
        where, what = f"{csv}, column 1", "is an index (0, 1, 2, ...)"
        raise WeightsError(what, where=where, remedy="weight files have none; delete it")
    hint = AGAIN
    if shape == expected[::-1]:
        hint = "it is transposed; matrices are [in, out], used as x @ w"
    elif shape[1] == expected[1] and shape[0] < expected[0]:
        hint = f"the file is torn; {AGAIN}, or correct {CONSTANTS_FILE}"
    what = f"is {shape[0]:,} x {shape[1]:,}, not {expected[0]:,} x {expected[1]:,}"
    raise WeightsError(what, where=csv, remedy=hint)


def header_error(csv: Path) -> WeightsError:
    where, what = f"{csv}, row 1", "is a header (0, 1, 2, ...)"
    return WeightsError(what, where=where, remedy="weight files have none; delete it")


def first_row(csv: Path) -> list[float]:
    """The numbers of a file's first row, without reading the rest; empty where they are no numbers."""
    with csv.open("rb") as file:
        line = file.readline()
    try:
        return [float(cell) for cell in decimals.Layout.of(line).plain(line).split(b",")]
    except ValueError:
        return []


def is_header(row: list[float]) -> bool:
    """0, 1, 2, ...: what pandas writes above a matrix without column names."""
    return len(row) > 2 and row == list(range(len(row)))


def infer_config(where: Path, names: Collection[str], shape: Callable[[str], Shape]) -> Config:
    """The constants inferred from the matrices there are and the shapes of two of them, as the reference has it."""
    missing = [name for name in (WTE, WPE) if name not in names]
    known = known_names(names)
    in_blocks = any(known.weights[name].block is not None for name in names if name in known.weights)
    if missing or not in_blocks:
        first = (missing or ["model_h0_ln_1_g"])[0]
        raise WeightsError(f"has no {first}.csv", where=where, remedy=AGAIN)
    n_vocab, n_embd = shape(WTE)
    if n_embd % REFERENCE_HEAD_SIZE:
        what = (
            f"has no {CONSTANTS_FILE}, and its n_embd {n_embd} is no multiple of {REFERENCE_HEAD_SIZE}, "
            "the reference's head size"
        )
        remedy = f"write {CONSTANTS_FILE} with n_layer, n_head, n_embd, n_ctx and n_vocab"
        raise WeightsError(what, where=where, remedy=remedy)
    return Config(known.count_blocks(names), n_embd // REFERENCE_HEAD_SIZE, n_embd, shape(WPE)[0], n_vocab)
