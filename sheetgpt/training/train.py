"""A text becomes a model in a CSV folder: its token table, its batches, the training, and going on after a stop.

What a step of training is stands in `trainer`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.bpe import Tokenizer, learn, write_tables
from sheetgpt.bpe.words import unspell
from sheetgpt.errors import TrainingError, WeightsError
from sheetgpt.files.text import read_corpus
from sheetgpt.model import TOKEN_FILES
from sheetgpt.models.config import CONSTANTS_FILE, Config
from sheetgpt.models.kinds import has_last_position, weights_of
from sheetgpt.models.step import Use
from sheetgpt.training import checkpoint
from sheetgpt.training.documents import Corpus, Documents, character_tables, documents_of, end_token, split
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.trainer import LogRow, Trainer
from sheetgpt.weights.folder import write_weights

__all__ = ["NewModel", "prepare", "run"]

CHECKPOINT_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class NewModel:
    """The model to train."""

    n_layer: int = 2  #: blocks
    n_head: int = 4  #: heads of each block
    n_embd: int = 64  #: dimensions of a token's row
    n_ctx: int = 64  #: tokens that a context holds
    vocab_size: int = 512  #: what the token table is learned up to
    model: str = "gpt2"  #: "gpt2", or the name of a smaller model
    position: str = "learned"  #: "learned", "sinusoidal" or "rotary"
    tokens: str = "bpe"  #: "bpe" or "chars"

    @property
    def has_characters(self) -> bool:
        """Is every token one character?"""
        return self.tokens == "chars"

    def config(self, n_vocab: int) -> Config:
        """The constants with so many tokens."""
        return Config(self.n_layer, self.n_head, self.n_embd, self.n_ctx, n_vocab, self.position, self.model)

    def tables(self, text: str) -> tuple[list[tuple[str, str]], list[str]]:
        """(merges, tokens), made from the text."""
        return character_tables("\n".join(documents_of(text))) if self.has_characters else learn(text, self.vocab_size)


def prepare(
    corpus: Path,
    dest: Path,
    new: NewModel,
    settings: Settings,
    *,
    held_out: float = 0.0,
    resume: bool = False,
    force: bool = False,
    first: Mapping[str, float] | None = None,
) -> Trainer:
    """A trainer for a text file (UTF-8, one document a line), at its beginning or where DEST's checkpoint stands.

    DEST's token table is used, or made from the text and written there. held_out: the share of the documents from which
    nothing is learned. first: each token's first weight, of a model that has no other weights. Raises TrainingError
    where DEST holds a model already (unless `force`) or another training's checkpoint, and where `resume` finds none.
    """
    saved = dest / checkpoint.FILE
    require_ready(dest, resume=resume, force=force)
    text = read_corpus(corpus)
    learned_tables = None if (dest / TOKEN_FILES[0]).exists() else new.tables(text)
    tokenizer = Tokenizer(*learned_tables) if learned_tables else Tokenizer.read(dest)
    config = new.config(tokenizer.n_vocab)
    documents = [tokenizer.encode(document, special=True) for document in documents_of(text)]
    end = end_token(tokenizer, dest)

    def batches(part: list[list[int]]) -> Corpus | Documents:
        if new.has_characters:
            return Documents(part, end, config.n_ctx if has_last_position(config) else None)
        return Corpus(part, end, config.n_ctx)

    learned, kept_back = split(documents, held_out)
    trainer = Trainer(config, batches(learned), settings, batches(kept_back) if kept_back else None)
    if first:
        begin_with(trainer, tokenizer, first)
    if saved.exists() and not force:
        checkpoint.resume(trainer, saved)
    if learned_tables:  # last, so that a training that can't begin leaves nothing behind
        write_tables(dest, *learned_tables)
    return trainer


def begin_with(trainer: Trainer, tokenizer: Tokenizer, first: Mapping[str, float]) -> None:
    """Weights that were chosen, not drawn. Raises TrainingError where the model has others, or some are missing."""
    (name, weight), *others = weights_of(trainer.config).items()
    if others or weight.use is not Use.SCORES:
        what = f"--first gives a weight a token, and the {trainer.config.model} has others"
        raise TrainingError(what, remedy="give it for the die or softmax")
    known = [unspell(token).decode(errors="replace") for token in tokenizer.tokens]
    for token in (*first, *known):
        if token not in first or token not in known:
            what = f"--first has no weight for {token!r}" if token in known else f"the model has no token {token!r}"
            raise TrainingError(what, remedy=f"give one each for {' '.join(known)}")
    with np.errstate(over="ignore"):
        chosen = np.array([[first[token]] for token in known]).astype(trainer.weights[name].dtype)
    for token, number in zip(known, chosen[:, 0], strict=True):
        if not np.isfinite(number):
            what = f"--first gives {token!r} the weight {first[token]}, which is no finite number of 32 bits"
            raise TrainingError(what, remedy="give another")
    if trainer.kind.plain_shares and not chosen.min() > 0:
        raise TrainingError(f"a weight of the {trainer.config.model} must be above 0: it is a share of their sum")
    np.copyto(trainer.weights[name], chosen)
    trainer.first = dict(first)


def require_ready(dest: Path, *, resume: bool, force: bool) -> None:
    """Raises TrainingError where DEST holds a model already, or no checkpoint to resume from."""
    saved = dest / checkpoint.FILE
    if resume and not saved.exists():
        raise TrainingError(
            "doesn't exist, so there is nothing to resume", where=saved, remedy="train without --resume"
        )
    if (dest / CONSTANTS_FILE).exists() and not force:
        raise TrainingError(
            "holds a model already", where=dest, remedy="choose another DEST, or give --force to replace it"
        )


def run(
    trainer: Trainer,
    dest: Path,
    report: Callable[[LogRow, Settings], None],
    notice: Callable[[str], object] = lambda _text: None,
) -> bool:
    """Train to the end and write the model to DEST; False where Ctrl-C ended it after a whole step.

    Until the end a checkpoint stands in DEST, from which the next call goes on. `notice` is given what a person should
    know on the way. Raises TrainingError where the disk takes no more, which says where the training is kept.
    """
    path, saved = dest / checkpoint.FILE, time.monotonic()
    with ctrl_c_noted() as stopped:
        for row in trainer.run():
            report(row, trainer.settings)
            if not stopped and time.monotonic() - saved > CHECKPOINT_EVERY:
                keep_on_the_way(trainer, path, notice)
                saved = time.monotonic()
            if stopped:
                keep(trainer, path)
                return False
    write_model(trainer, dest)
    return True


def keep_on_the_way(trainer: Trainer, path: Path, notice: Callable[[str], object]) -> None:
    """Save a checkpoint; training goes on where the disk takes none."""
    try:
        checkpoint.save(trainer, path)
    except OSError as error:
        notice(f"{path} can't be written ({error.strerror or error}): training goes on, and tries again in a minute.")


def keep(trainer: Trainer, path: Path) -> None:
    """Save a checkpoint, elsewhere where the disk takes none. Raises TrainingError then."""
    try:
        checkpoint.save(trainer, path)
    except OSError as error:
        raise checkpoint.save_elsewhere(trainer, path, error) from None


def write_model(trainer: Trainer, dest: Path) -> None:
    """The trained weights as CSVs. A checkpoint keeps them until all are written."""
    path, unsaved = dest / checkpoint.FILE, None
    try:
        if trainer.log:  # else there is nothing to lose
            checkpoint.save(trainer, path)
    except OSError as error:
        unsaved = error
    try:
        write_weights(dest, trainer.config, {name: trainer.weights[name] for name in weights_of(trainer.config)})
    except WeightsError as error:
        if unsaved:
            raise checkpoint.save_elsewhere(trainer, path, unsaved) from None
        remedy = f"{error.remedy}; {path} keeps the training, the same command goes on from there"
        raise TrainingError(error.what, where=error.where, remedy=remedy) from None
    path.unlink(missing_ok=True)


@contextmanager
def ctrl_c_noted() -> Iterator[list[str]]:
    """A list that is no longer empty after Ctrl-C, which doesn't break into the step that is being computed."""
    noted: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda *_: noted.append("stop"))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
