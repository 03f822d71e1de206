"""The state of a training after any step as one file, from which training goes on bit for bit.

A file is taken over only when all of it was found to be such a state: shapes, records, and a place of the random
numbers that so many steps lead to. When to save belongs in `train`.
"""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.errors import TrainingError
from sheetgpt.files.atomic import replacing
from sheetgpt.training.trainer import LogRow, Trainer

__all__ = ["resume", "save"]

FILE = "checkpoint.npz"
SAVED = ("vector", "mean", "square")  # the vectors of a state
ABOUT = "about"
WHOLE = ("step", "tokens")  # the fields of a record that count
RATE_TOLERANCE = 1e-9  # of a learning rate that another machine's cosine has made


def save(trainer: Trainer, path: Path) -> None:
    """Write the whole state, all or nothing."""
    about = {
        **belongs_to(trainer),
        "rng": trainer.rng.bit_generator.state,
        "records": [list(asdict(row).values()) for row in trainer.log],
    }
    vectors = {name: getattr(trainer.state, name) for name in SAVED}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **vectors, about=np.array(json.dumps(about)))


def save_elsewhere(trainer: Trainer, path: Path, why: OSError) -> TrainingError:
    """Where `path` takes no checkpoint, one among the system's temporary files, and the error that says so."""
    what = f"can't be written ({why.strerror or why})"
    try:
        other = Path(tempfile.mkdtemp(prefix="sheetgpt-")) / FILE
        save(trainer, other)
    except OSError:
        kept = "it holds an earlier step" if path.exists() else "these steps are lost"
        return TrainingError(what, where=path, remedy=f"make room, then give the same command again; {kept}")
    return TrainingError(what, where=path, remedy=f"make room, move {other} there, and give the same command again")


def belongs_to(trainer: Trainer) -> dict[str, Any]:
    """What another training would have otherwise."""
    return {
        "config": [list(row) for row in trainer.config.rows()],
        "settings": asdict(trainer.settings),
        "corpus": trainer.corpus.fingerprint(),
        "choice of first weights": trainer.first,
    }


def resume(trainer: Trainer, path: Path) -> None:
    """Take over the state, all or nothing. Raises TrainingError where it is damaged or belongs to another training."""
    try:
        about, vectors = read(path)
        require_same(trainer, about, path)
        require_vectors(vectors, trainer.state.vector)
        log = records_of(about.get("records"), trainer)
        rng = place_of(about.get("rng"), trainer, len(log))
    except TrainingError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged zip or array makes its readers stumble over
        what = f"is not a whole checkpoint ({one_line(error)})"
        raise TrainingError(what, where=path, remedy="delete it and train anew") from None
    for name, vector in vectors.items():
        np.copyto(getattr(trainer.state, name), vector)
    trainer.rng.bit_generator.state = rng
    trainer.log = log


# ------------------------------------------------------------------------------------------------ what is believed


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(what the file says, its vectors); the checksums of all are checked."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if sorted(names) != sorted(f"{name}.npy" for name in (*SAVED, ABOUT)):
            raise ValueError(f"it holds {', '.join(names) or 'nothing'}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed, as no checkpoint is")  # and could grow without end
        about = json.loads(str(array_in(archive, ABOUT)[()]))
        if not isinstance(about, dict):
            raise TypeError("it says nothing of its training")
        return about, {name: array_in(archive, name) for name in SAVED}


def array_in(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # subtle: a zip's checksum is compared at the end only
            raise ValueError(f"{name} is longer than it says")
    return array


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def require_same(trainer: Trainer, about: Mapping[str, Any], path: Path) -> None:
    for what, value in belongs_to(trainer).items():
        if about.get(what) != value:
            raise TrainingError(
                f"was made with another {what}", where=path, remedy="give the same options, or another DEST"
            )


def require_vectors(vectors: Mapping[str, np.ndarray], like: np.ndarray) -> None:
    for name, vector in vectors.items():
        if vector.shape != like.shape or vector.dtype != like.dtype:
            raise ValueError(f"its {name} is {vector.dtype} of shape {vector.shape}, not {like.dtype} of {like.shape}")
        if not np.isfinite(vector).all():
            raise ValueError(f"its {name} holds what is no finite number")
    if (vectors["square"] < 0).any():
        raise ValueError("a mean of squares is below 0")


def records_of(records: object, trainer: Trainer) -> list[LogRow]:
    """The log: a record for each step so far, from the first on."""
    if not isinstance(records, list) or not 1 <= len(records) <= trainer.settings.steps:
        raise ValueError(f"its records are not those of 1 to {trainer.settings.steps} steps")
    return [record_of(record, step, trainer.settings.rate(step)) for step, record in enumerate(records)]


def record_of(record: object, step: int, rate: float) -> LogRow:
    """What the step of that number, from 0, did."""
    names = [field.name for field in fields(LogRow)]
    if not isinstance(record, Sequence) or len(record) != len(names):
        raise ValueError(f"the record of step {step + 1} has not {len(names)} fields")
    found = dict(zip(names, record, strict=True))
    numbers = [value for name, value in found.items() if (name, value) != ("held_out", None)]
    if any(type(value) not in (int, float) for value in numbers) or any(type(found[name]) is not int for name in WHOLE):
        raise ValueError(f"the record of step {step + 1} holds what is no number")
    row = LogRow(*record)
    losses = [row.loss] if row.held_out is None else [row.loss, row.held_out]
    if row.step != step + 1 or not math.isclose(row.learning_rate, rate, rel_tol=RATE_TOLERANCE):
        raise ValueError(f"the record in place {step + 1} is not that of step {step + 1}")
    if not all(map(math.isfinite, losses)) or not row.gradient_norm >= 0 or row.tokens < 1 or not row.seconds > 0:
        raise ValueError(f"the record of step {step + 1} holds what no step gives")
    return row


def place_of(state: object, trainer: Trainer, steps: int) -> Mapping[str, Any]:
    """The state of the random numbers, which must be the one after the batches of so many steps."""
    rng = np.random.default_rng()
    rng.bit_generator.state = trainer.rng.bit_generator.state
    for _ in range(steps):
        trainer.corpus.draw(trainer.settings.batch, rng)
    expected = rng.bit_generator.state
    if state != expected:
        raise ValueError(f"its random numbers are not those after {steps} steps")
    return expected
