"""Training: batches, the loss, its gradient through `backward`, and the update of the weights, step by step.

The model is the same list of steps as everywhere; nothing here knows what a layer is. The state after any step is one
checkpoint file from which training goes on bit for bit. Drawing batches, initial weights and the order of sums are
fixed by the seed. Batches are `documents`' business, the update is `optimizer`'s.

A batch is computed in two halves, each by its own thread: numpy's passes over matrices use one core only. The halves
are always the same, so how many cores there are changes nothing.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from sheetgpt import ladder
from sheetgpt.backward import backward
from sheetgpt.bpe import Tokenizer, learn, write_tables
from sheetgpt.config import CONSTANTS_FILE, Config
from sheetgpt.files.atomic import replacing
from sheetgpt.files.decimals import keep_freed_memory
from sheetgpt.files.text import read_corpus
from sheetgpt.forward import forward
from sheetgpt.model import TOKEN_FILES, Model
from sheetgpt.training import optimizer
from sheetgpt.training.documents import Corpus, Documents, character_tables, end_token, split
from sheetgpt.training.gradients import Loss
from sheetgpt.training.optimizer import Settings, TrainingError, is_decayed
from sheetgpt.weights import Weights, matrix_shapes, write_weights

__all__ = ["Corpus", "Documents", "Settings", "Trainer", "TrainingError", "initial_weights", "prepare", "run"]

CHECKPOINT = "checkpoint.npz"
SAVED = ("vector", "mean", "square")  # the vectors of a checkpoint
CHECKPOINT_EVERY = 60.0  # seconds
INITIAL_DEVIATION = 0.02  # of every matrix, as OpenAI drew them
INITIAL_DEVIATION_SMALL = 0.2  # the same below GPT-2: no layer norm makes up for small numbers
HANDOVER = 1e-6  # seconds
HALVE_ABOVE = 256  # predictions in a batch: less work than this is done sooner than shared


@dataclass(frozen=True)
class Shape:
    """The size of the model to train; `vocab_size` is what its token table is learned up to."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 64
    n_ctx: int = 64
    vocab_size: int = 512
    model: str = "gpt2"
    position: str = "learned"
    tokens: str = "bpe"  # or "chars"


@dataclass(frozen=True)
class Record:
    """What one step of training did."""

    step: int  # from 1
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    held_out: float | None = None  # the loss of what was held out, where this step looked

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def initial_weights(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Matrices drawn with deviation 0.02 (what writes to the residual: less by sqrt(2 n_layer)), gains 1, biases 0."""
    made = {}
    usual = INITIAL_DEVIATION if config.model == "gpt2" else INITIAL_DEVIATION_SMALL
    for name, shape in matrix_shapes(config).items():
        if config.model == "die":
            made[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)  # plain division wants numbers above 0
        elif name.endswith("_g"):
            made[name] = np.ones(shape, np.float32)
        elif name.endswith("_b"):
            made[name] = np.zeros(shape, np.float32)
        else:
            to_residual = name.endswith("_c_proj_w")
            deviation = usual / math.sqrt(2 * config.n_layer) if to_residual else usual
            made[name] = (deviation * rng.standard_normal(shape)).astype(np.float32)
    return made


class Trainer:
    """The state of one training: weights, AdamW's moments, the random numbers' place, the records so far.

    All weights are views into one vector, so that an update is a few operations on vectors.
    """

    def __init__(
        self,
        config: Config,
        corpus: Corpus | Documents,
        settings: Settings,
        held_out: Corpus | Documents | None = None,
    ):
        self.config, self.corpus, self.settings, self.held_out = config, corpus, settings, held_out
        self.steps = ladder.training_steps(config)
        self.rng = np.random.default_rng(settings.seed)
        initial = initial_weights(config, self.rng)
        self.names = sorted(initial, key=lambda name: not is_decayed(name))  # decayed ones first: one slice
        n_decayed = sum(initial[name].size for name in self.names if is_decayed(name))
        vector = np.concatenate([initial[name].ravel() for name in self.names])
        self.state = optimizer.State.of(vector, n_decayed)
        self.weights = self._views(vector, initial)
        self.second_half = np.zeros_like(vector)  # the gradient of a batch's second half; the first's becomes the whole
        self.gradients = [self._views(half, initial) for half in (self.state.gradient, self.second_half)]
        self.records: list[Record] = []

    def _views(self, vector: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        ends = np.cumsum([like[name].size for name in self.names])
        pieces = np.split(vector, ends[:-1])
        return {name: piece.reshape(like[name].shape) for name, piece in zip(self.names, pieces, strict=True)}

    def loss_and_gradients(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """The mean penalty of a batch [B, T]; its gradient is left in `state.gradient`."""
        if self.settings.gradient != "backprop":
            return self._loss_and_gradients_to_look_at(ids, targets)
        count = int(np.count_nonzero(targets >= 0))
        if len(ids) < 2 or ids.size < HALVE_ABOVE:
            return self._part(0, ids, targets, count) / count
        middle = len(ids) // 2
        second = self.pool.submit(self._part, 1, ids[middle:], targets[middle:], count)
        total = self._part(0, ids[:middle], targets[:middle], count)
        total += second.result()
        gradient = self.state.gradient
        gradient += self.second_half
        return total / count

    @np.errstate(all="ignore")  # a loss that is no number is told as one line
    def _part(self, half: int, ids: np.ndarray, targets: np.ndarray, count: int) -> float:
        """The sum of some windows' penalties; the gradient of that sum / count is left in `gradients[half]`."""
        given = {"final_tokens": ids, "positions": np.arange(ids.shape[-1]), "targets": targets}
        values = forward(self.steps, self.weights, given, dtype=np.float32)
        counted = (targets >= 0)[:, None]
        seed = {"penalties": counted * np.float32(1 / count)}
        found = backward(self.steps, values, self.weights, seed, keep_stages=False)
        for name, gradient in self.gradients[half].items():
            np.copyto(gradient, found[name])
        return float((values["penalties"] * counted).sum(dtype=np.float64))

    def _loss_and_gradients_to_look_at(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """The same by nudges or by the graph of Values, in float64."""
        loss = Loss.of(self.steps, ids, targets)
        weights = {name: weight.astype(np.float64) for name, weight in self.weights.items()}
        found = loss.gradients(weights, self.settings.gradient, self.settings.nudge)
        for name, gradient in self.gradients[0].items():
            np.copyto(gradient, found[name], casting="same_kind")
        return loss(weights)

    def update(self, step: int) -> tuple[float, float]:
        """The update of all weights: (learning rate, norm of the gradient before clipping)."""
        state, settings = self.state, self.settings
        norm = optimizer.clip(state.gradient, settings.clip)
        middle = len(state.vector) // 2
        rest = self.pool.submit(optimizer.update, state.part(middle, len(state.vector)), settings, step)
        rate = optimizer.update(state.part(0, middle), settings, step)
        rest.result()
        return rate, norm

    def held_out_loss(self) -> float:
        """The mean penalty of what was held out."""
        total = count = 0
        for ids, targets in self.held_out.all_windows():
            loss = Loss.of(self.steps, ids, targets)
            penalties = forward(self.steps, self.weights, loss.given, dtype=np.float32)["penalties"]
            total += float(penalties[targets[:, None] >= 0].sum(dtype=np.float64))
            count += int(np.count_nonzero(targets >= 0))
        return total / count

    def run(self) -> Iterator[Record]:
        """Train from where the state stands to the last step, one record a step."""
        keep_freed_memory()
        per_half = max(1, (os.cpu_count() or 1) // 2)
        with ThreadPoolExecutor(1) as self.pool, threadpool_limits(per_half, "blas"), quick_handover():
            yield from self._run()

    def _run(self) -> Iterator[Record]:
        for step in range(len(self.records), self.settings.steps):
            begun = time.perf_counter()
            ids, targets = self.corpus.windows(self.settings.batch, self.rng)
            loss = self.loss_and_gradients(ids, targets)
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {step + 1}: try a smaller --learning-rate")
            rate, norm = self.update(step)
            if self.config.model == "die" and self.state.vector.min() <= 0:
                raise TrainingError(
                    f"a weight of the die fell to 0 or below at step {step + 1}, so it is no share of a sum any more: "
                    "give a smaller --learning-rate or fewer --steps, or climb to --model softmax"
                )
            seconds = time.perf_counter() - begun
            due = (step + 1) % self.settings.evaluate_every == 0 or step + 1 == self.settings.steps
            held_out = self.held_out_loss() if self.held_out and due else None
            record = Record(step + 1, loss, rate, norm, ids.size, seconds, held_out)
            self.records.append(record)
            yield record

    def model(self, tokenizer: Tokenizer | None, folder: Path) -> Model:
        """The model as it stands, for samples on the way."""
        return Model(Weights(self.weights, self.config, folder, "float32"), tokenizer)

    # ---------------------------------------------------------------------------------------- checkpoints

    def save(self, path: Path) -> None:
        """Write the whole state to a checkpoint, all or nothing."""
        about = {
            "config": self.config.rows(),
            "settings": asdict(self.settings),
            "corpus": self.corpus.fingerprint(),
            "rng": self.rng.bit_generator.state,
            "records": [list(asdict(record).values()) for record in self.records],
        }
        vectors = {name: getattr(self.state, name) for name in SAVED}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vectors, about=np.array(json.dumps(about)))

    def resume(self, path: Path) -> None:
        """Take over the state of a checkpoint. Raises TrainingError where it belongs to another training."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                about = json.loads(str(saved["about"]))
                vectors = {name: saved[name] for name in SAVED}
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path} is not a whole checkpoint ({error}): delete it and train anew") from None
        mine = {"config": [list(row) for row in self.config.rows()], "settings": asdict(self.settings)}
        for what, value in (mine | {"corpus": self.corpus.fingerprint()}).items():
            if about.get(what) != value:
                raise TrainingError(f"{path} was made with another {what}: give the same options, or another DEST")
        for name, vector in vectors.items():
            np.copyto(getattr(self.state, name), vector)
        self.rng.bit_generator.state = about["rng"]
        self.records = [Record(*row) for row in about["records"]]


def prepare(
    corpus: Path,
    dest: Path,
    shape: Shape,
    settings: Settings,
    *,
    held_out: float = 0.0,
    resume: bool = False,
    force: bool = False,
) -> Trainer:
    """A trainer for a text file (UTF-8, one document a line), at its beginning or where DEST's checkpoint stands.

    DEST's token table is used, or made from the text and written there. held_out: the share of the documents from which
    nothing is learned. Raises TrainingError where DEST holds a model already (unless `force`) or a checkpoint of
    another training, and where `resume` finds no checkpoint.
    """
    checkpoint = dest / CHECKPOINT
    if resume and not checkpoint.exists():
        raise TrainingError(f"{checkpoint} doesn't exist, so there is nothing to resume: train without --resume")
    if (dest / CONSTANTS_FILE).exists() and not force:
        raise TrainingError(f"{dest} holds a model already: choose another DEST, or give --force to replace it")
    text = read_corpus(corpus)
    learned_tables = None
    if not (dest / TOKEN_FILES[0]).exists():
        learned_tables = character_tables(text) if shape.tokens == "chars" else learn(text, shape.vocab_size)
    tokenizer = Tokenizer(*learned_tables) if learned_tables else Tokenizer.read(dest)
    config = Config(
        shape.n_layer, shape.n_head, shape.n_embd, shape.n_ctx, tokenizer.n_vocab, shape.position, shape.model
    )
    documents = [tokenizer.encode(line) for line in text.splitlines() if line]
    end = end_token(tokenizer, dest)

    def batches(part: list) -> Corpus | Documents:
        if shape.tokens == "chars":
            return Documents(part, end, config.n_ctx if config.learned_positions else None)
        return Corpus(part, end, config.n_ctx)

    learned, kept_back = split(documents, held_out)
    trainer = Trainer(config, batches(learned), settings, batches(kept_back) if kept_back else None)
    if checkpoint.exists() and not force:
        trainer.resume(checkpoint)
    if learned_tables:  # last, so that a training that can't begin leaves nothing behind
        write_tables(dest, *learned_tables)
    return trainer


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


@contextmanager
def quick_handover() -> Iterator[None]:
    """Let a thread that waits for Python's lock look again soon: operations here take less than the usual 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(HANDOVER)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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
