"""The state of a training after any step as one file, from which training goes on bit for bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sheetgpt.errors import TrainingError
from sheetgpt.files.atomic import replacing
from sheetgpt.training.trainer import LogRow, Trainer

FILE = "checkpoint.npz"
SAVED = ("vector", "mean", "square")  # the vectors of a state


def save(trainer: Trainer, path: Path) -> None:
    """Write the whole state, all or nothing."""
    about = {
        "config": trainer.config.rows(),
        "settings": asdict(trainer.settings),
        "corpus": trainer.corpus.fingerprint(),
        "rng": trainer.rng.bit_generator.state,
        "records": [list(asdict(row).values()) for row in trainer.log],
    }
    vectors = {name: getattr(trainer.state, name) for name in SAVED}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **vectors, about=np.array(json.dumps(about)))


def resume(trainer: Trainer, path: Path) -> None:
    """Take over the state. Raises TrainingError where it belongs to another training."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            about = json.loads(str(saved["about"]))
            vectors = {name: saved[name] for name in SAVED}
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"is not a whole checkpoint ({error})", where=path, remedy="delete it and train anew"
        ) from None
    mine = {
        "config": [list(row) for row in trainer.config.rows()],
        "settings": asdict(trainer.settings),
        "corpus": trainer.corpus.fingerprint(),
    }
    for what, value in mine.items():
        if about.get(what) != value:
            raise TrainingError(
                f"was made with another {what}", where=path, remedy="give the same options, or another DEST"
            )
    for name, vector in vectors.items():
        np.copyto(getattr(trainer.state, name), vector)
    trainer.rng.bit_generator.state = about["rng"]
    trainer.log = [LogRow(*row) for row in about["records"]]
