"""Training: documents to batches, the loss, its gradient through `backward`, and AdamW's update of the weights.

The model is the same list of steps as everywhere; nothing here knows what a layer is. The state after any step is one
checkpoint file from which training goes on bit for bit. Drawing batches, initial weights and the order of sums are
fixed by the seed.

A batch is computed in two halves, each by its own thread: numpy's passes over matrices use one core only. The halves
are always the same, so how many cores there are changes nothing.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from sheetgpt import steps
from sheetgpt.backward import backward
from sheetgpt.bpe import Tokenizer, learn, write_tables
from sheetgpt.config import CONSTANTS_FILE, Config
from sheetgpt.errors import SheetGPTError
from sheetgpt.forward import forward
from sheetgpt.model import TOKEN_FILES
from sheetgpt.weights import matrix_shapes, write_weights

CHECKPOINT = "checkpoint.npz"
CHECKPOINT_EVERY = 60.0  # seconds
INITIAL_DEVIATION = 0.02  # of every matrix, as OpenAI drew them
HALVE_ABOVE = 256  # predictions in a batch: less work than this is done sooner than shared


class TrainingError(SheetGPTError):
    """Training can't begin or go on: an empty corpus, a checkpoint of another model, a loss that is not a number."""


@dataclass(frozen=True)
class Settings:
    """How a model is trained. The defaults are nanoGPT's kind, for a small model."""

    steps: int = 2000
    batch: int = 32  # windows a step
    learning_rate: float = 3e-3
    min_learning_rate: float = 1e-4
    warmup: int = 100  # steps
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    clip: float = 1.0  # largest norm of all gradients together; 0 doesn't clip
    seed: int = 1

    def __post_init__(self):
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise TrainingError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise TrainingError(f"--learning-rate is {self.learning_rate}; it must be above 0")

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0): linear warm-up, then half a cosine down to the minimum."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.min_learning_rate + cosine * (self.learning_rate - self.min_learning_rate)


@dataclass(frozen=True)
class Shape:
    """The size of the model to train; `vocab_size` is what its token table is learned up to."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 64
    n_ctx: int = 64
    vocab_size: int = 512


@dataclass(frozen=True)
class Record:
    """What one step of training did."""

    step: int  # from 1
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def initial_weights(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Matrices drawn with deviation 0.02 (what writes to the residual: less by sqrt(2 n_layer)), gains 1, biases 0."""
    made = {}
    for name, shape in matrix_shapes(config).items():
        if name.endswith("_g"):
            made[name] = np.ones(shape, np.float32)
        elif name.endswith("_b"):
            made[name] = np.zeros(shape, np.float32)
        else:
            to_residual = name.endswith("_c_proj_w")
            deviation = INITIAL_DEVIATION / math.sqrt(2 * config.n_layer) if to_residual else INITIAL_DEVIATION
            made[name] = (deviation * rng.standard_normal(shape)).astype(np.float32)
    return made


def is_decayed(name: str) -> bool:
    """Weight decay pulls on matrices only, not on gains and biases."""
    return not name.endswith(("_g", "_b"))


class Corpus:
    """Documents as one stream of token ids, each followed by an end token, and the windows drawn from it."""

    def __init__(self, documents: Sequence[Sequence[int]], end: int, n_ctx: int):
        lengths = np.array([len(document) + 1 for document in documents])
        self.ids = np.array([i for document in documents for i in (*document, end)], dtype=np.int64)
        self.n_ctx = n_ctx
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else np.array([], int)
        self.starts = starts[starts + n_ctx + 1 <= len(self.ids)]  # a window begins where a document begins
        if not len(self.starts):
            raise TrainingError(
                f"the corpus has {len(self.ids)} tokens and one window takes {n_ctx + 1}: "
                "give more text or a smaller --n-ctx"
            )

    def windows(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(ids, targets), each [count, n_ctx]: a target is the token that comes next."""
        first = rng.choice(self.starts, count)
        windows = self.ids[first[:, None] + np.arange(self.n_ctx + 1)]
        return windows[:, :-1], windows[:, 1:]


class Trainer:
    """The state of one training: weights, AdamW's moments, the random numbers' place, the records so far.

    All weights are views into one vector, so that an update is a few operations on vectors.
    """

    def __init__(self, config: Config, corpus: Corpus, settings: Settings):
        self.config, self.corpus, self.settings = config, corpus, settings
        self.steps = steps.with_penalties(steps.gpt2(config, every_row=True))
        self.rng = np.random.default_rng(settings.seed)
        initial = initial_weights(config, self.rng)
        self.names = sorted(initial, key=lambda name: not is_decayed(name))  # decayed ones first: one slice
        self.vector = np.concatenate([initial[name].ravel() for name in self.names])
        self.weights = self._views(self.vector, initial)
        self.n_decayed = sum(initial[name].size for name in self.names if is_decayed(name))
        self.halves = [np.zeros_like(self.vector) for _ in range(2)]  # the gradient of each half of a batch
        self.gradient = self.halves[0]  # and in the end of all
        self.gradients = [self._views(vector, initial) for vector in self.halves]
        self.scratch = np.empty_like(self.vector)
        self.mean, self.square = np.zeros_like(self.vector), np.zeros_like(self.vector)
        self.records: list[Record] = []

    def _views(self, vector: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        ends = np.cumsum([like[name].size for name in self.names])
        pieces = np.split(vector, ends[:-1])
        return {name: piece.reshape(like[name].shape) for name, piece in zip(self.names, pieces, strict=True)}

    def loss_and_gradients(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """The mean penalty of a batch [B, T]; its gradient is left in `gradient`."""
        if len(ids) < 2 or ids.size < HALVE_ABOVE:
            return self._part(0, ids, targets, ids.size) / ids.size
        middle = len(ids) // 2
        second = self.pool.submit(self._part, 1, ids[middle:], targets[middle:], ids.size)
        total = self._part(0, ids[:middle], targets[:middle], ids.size)
        total += second.result()
        self.gradient += self.halves[1]
        return total / ids.size

    def _part(self, half: int, ids: np.ndarray, targets: np.ndarray, count: int) -> float:
        """The sum of some windows' penalties; the gradient of that sum / count is left in `gradients[half]`."""
        given = {"final_tokens": ids, "positions": np.arange(ids.shape[-1]), "targets": targets}
        values = forward(self.steps, self.weights, given, dtype=np.float32)
        penalties = values["penalties"]
        seed = {"penalties": np.full_like(penalties, 1 / count)}
        found = backward(self.steps, values, self.weights, seed, keep_stages=False)
        for name, gradient in self.gradients[half].items():
            np.copyto(gradient, found[name])
        return float(penalties.sum(dtype=np.float64))

    def update(self, step: int) -> tuple[float, float]:
        """AdamW's update from `gradient`: (learning rate, norm of the gradient before clipping)."""
        settings, gradient = self.settings, self.gradient
        norm = float(np.sqrt(np.dot(gradient, gradient)))
        if settings.clip and norm > settings.clip:
            gradient *= np.float32(settings.clip / (norm + 1e-6))
        rate = settings.rate(step)
        middle = len(self.vector) // 2
        rest = self.pool.submit(self._update_slice, slice(middle, None), step, rate)
        self._update_slice(slice(middle), step, rate)
        rest.result()
        return rate, norm

    def _update_slice(self, part: slice, step: int, rate: float) -> None:
        """AdamW of a part of the vector."""
        settings, decayed = self.settings, self.vector[: self.n_decayed][part]
        vector, gradient, mean, square, scratch = (
            whole[part] for whole in (self.vector, self.gradient, self.mean, self.square, self.scratch)
        )
        np.multiply(gradient, np.float32(1 - settings.beta1), out=scratch)
        mean *= np.float32(settings.beta1)
        mean += scratch
        np.multiply(gradient, gradient, out=scratch)
        scratch *= np.float32(1 - settings.beta2)
        square *= np.float32(settings.beta2)
        square += scratch
        decayed *= np.float32(1 - rate * settings.weight_decay)
        np.sqrt(square, out=scratch)
        scratch *= np.float32(1 / math.sqrt(1 - settings.beta2 ** (step + 1)))
        scratch += np.float32(settings.epsilon)
        np.divide(mean, scratch, out=scratch)
        scratch *= np.float32(rate / (1 - settings.beta1 ** (step + 1)))
        vector -= scratch

    def run(self) -> Iterator[Record]:
        """Train from where the state stands to the last step, one record a step."""
        keep_freed_memory()
        with ThreadPoolExecutor(1) as self.pool, threadpool_limits(max(1, (os.cpu_count() or 1) // 2), "blas"):
            yield from self._run()

    def _run(self) -> Iterator[Record]:
        for step in range(len(self.records), self.settings.steps):
            begun = time.perf_counter()
            ids, targets = self.corpus.windows(self.settings.batch, self.rng)
            loss = self.loss_and_gradients(ids, targets)
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {step + 1}: try a smaller --learning-rate")
            rate, norm = self.update(step)
            record = Record(step + 1, loss, rate, norm, ids.size, time.perf_counter() - begun)
            self.records.append(record)
            yield record

    # ---------------------------------------------------------------------------------------- checkpoints

    def save(self, path: Path) -> None:
        """Write the whole state to a checkpoint, all or nothing."""
        about = {
            "config": self.config.rows(),
            "settings": asdict(self.settings),
            "rng": self.rng.bit_generator.state,
            "records": [list(asdict(record).values()) for record in self.records],
        }
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            np.savez(file, vector=self.vector, mean=self.mean, square=self.square, about=np.array(json.dumps(about)))
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Take over the state of a checkpoint. Raises TrainingError where it belongs to another training."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                about = json.loads(str(saved["about"]))
                vectors = {name: saved[name] for name in ("vector", "mean", "square")}
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path} is not a whole checkpoint ({error}): delete it and train anew") from None
        mine = {"config": [list(row) for row in self.config.rows()], "settings": asdict(self.settings)}
        for what, value in mine.items():
            if about[what] != value:
                raise TrainingError(f"{path} was made with another {what}: give the same options, or another DEST")
        for name, vector in vectors.items():
            np.copyto(getattr(self, name), vector)
        self.rng.bit_generator.state = about["rng"]
        self.records = [Record(*row) for row in about["records"]]


def prepare(corpus: Path, dest: Path, shape: Shape, settings: Settings, *, force: bool = False) -> Trainer:
    """A trainer for a text file (UTF-8, one document a line), at its beginning or where DEST's checkpoint stands.

    DEST's token table is used, or learned from the text and written there. Raises TrainingError where DEST holds a
    model already (unless `force`) or a checkpoint of another training.
    """
    checkpoint = dest / CHECKPOINT
    if (dest / CONSTANTS_FILE).exists() and not force:
        raise TrainingError(f"{dest} holds a model already: choose another DEST, or give --force to replace it")
    text = read_corpus(corpus)
    if not (dest / TOKEN_FILES[0]).exists():
        dest.mkdir(parents=True, exist_ok=True)
        write_tables(dest, *learn(text, shape.vocab_size))
    tokenizer = Tokenizer.read(dest)
    config = Config(shape.n_layer, shape.n_head, shape.n_embd, shape.n_ctx, tokenizer.n_vocab)
    documents = [tokenizer.encode(line) for line in text.splitlines() if line]
    trainer = Trainer(config, Corpus(documents, tokenizer.end_of_text, shape.n_ctx), settings)
    if checkpoint.exists() and not force:
        trainer.resume(checkpoint)
    return trainer


def read_corpus(path: Path) -> str:
    """The text of a corpus. Raises TrainingError where it is missing, empty or not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TrainingError(f"can't read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    if not text.strip():
        raise TrainingError(f"{path} is empty: give a text with one document a line")
    return text


def run(trainer: Trainer, dest: Path, report: Callable[[Record, Settings], None]) -> bool:
    """Train to the end and write the model to DEST; False where Ctrl-C ended it after a whole step.

    Until the end a checkpoint stands in DEST, from which the next call goes on.
    """
    checkpoint, saved = dest / CHECKPOINT, time.monotonic()
    with ctrl_c_noted() as stopped:
        for record in trainer.run():
            report(record, trainer.settings)
            if stopped or time.monotonic() - saved > CHECKPOINT_EVERY:
                trainer.save(checkpoint)
                saved = time.monotonic()
            if stopped:
                return False
    write_weights(dest, trainer.config, {name: trainer.weights[name] for name in matrix_shapes(trainer.config)})
    checkpoint.unlink(missing_ok=True)
    return True


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next matrix: else each one is mapped anew, page by page, which takes longer
    than computing it. Its limit for that is the largest block ever freed, up to 32 MB.
    """
    np.empty(31 << 20, np.uint8)


@contextmanager
def ctrl_c_noted() -> Iterator[list]:
    """A list that is no longer empty after Ctrl-C, which doesn't break into the step that is being computed."""
    noted: list = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda *_: noted.append("stop"))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
