"""A run, stage by stage: from names to labelled DataFrames. Computing belongs in `forward`, labels in `frames`.

Only `to_csv`, `to_excel` and what Jupyter asks for reach down to the rooms that write and show, when they are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.bpe import MergeTrace, Tokenizer
from sheetgpt.errors import UnknownStageError
from sheetgpt.models import heads
from sheetgpt.models.config import Config
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Role, Step, Steps
from sheetgpt.run import frames
from sheetgpt.run.forward import NO_OVERRIDES
from sheetgpt.run.shown import shows_itself
from sheetgpt.weights.folder import Weights

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Prediction", "Trace", "probabilities"]


def probabilities(logits: np.ndarray, axis: int = -1) -> np.ndarray:  # of any shape, tokens along the axis
    """The softmax of logits of any shape, in float64: along the `axis`, which counts tokens ([..., n_vocab] by
    default).
    """
    exact = np.asarray(logits, np.float64)
    powers: np.ndarray = np.exp(exact - exact.max(axis, keepdims=True))
    powers /= powers.sum(axis, keepdims=True)
    return powers


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Prediction:
    """One row of the table of the most probable next tokens."""

    rank: int  #: 1 is the most probable
    id: int  #: the token's id
    token: str  #: as the token table spells it
    logit: float  #: the score
    probability: float  #: 0 to 1


@dataclass(frozen=True)
class Trace(Mapping[str, "pd.DataFrame"]):
    """One run, stage by stage: a mapping from a stage's name to its labelled DataFrame [rows, columns], in the order of
    the data.

    `trace.array(name)` is the matrix without labels; frames are made when asked for and share it. Raises
    UnknownStageError, a KeyError, for a name that is no stage of the run.
    """

    config: Config  #: the model's constants
    steps: Steps  #: the model's list of steps
    arrays: Mapping[str, np.ndarray]  #: the matrices [rows, columns] by stage; of the tokens' stage the ids [T]
    labels: frames.Labels  #: what rows and columns are called
    prompt: str | None = None  #: the text; None where the run began with token ids
    merges: MergeTrace | None = None  #: of the prompt; None where the run began with token ids
    weights: Weights | None = None  #: the model's own, as they are without overrides
    tokenizer: Tokenizer | None = None  #: the model's, where it has one
    #: the matrices [rows, columns] that took the place of stages and weights
    overrides: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_OVERRIDES)

    @property
    def overridden(self) -> tuple[str, ...]:
        """The stages and weights that were replaced."""
        return tuple(self.overrides)

    @property
    def changed_weights(self) -> Mapping[str, np.ndarray]:
        """The matrices [rows, columns] that were in place of the model's own."""
        return {name: matrix for name, matrix in self.overrides.items() if name in (self.weights or {})}

    @property
    def reads_special(self) -> bool:
        """Was each special token in the prompt one token?"""
        return self.merges is not None and self.merges.special

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps if step.name in self.arrays or self.merges is not None}

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> pd.DataFrame:
        step = self.step(name)
        if step.is_text:
            table = self.text_table(name)
            made = partial(frames.text_frame, table, self.text_labels(name, len(table)))
        else:
            made = partial(frames.to_frame, self.array(name), *self.axes(name))
        return shows_itself(made, step, self.config.n_head, is_set=name in self.overrides)

    def __repr__(self) -> str:
        tokens = repr(self.prompt) if self.prompt is not None else f"ids {self.token_ids}"
        answer = f", predicts {self.predicted_token!r}" if self.has(Role.PREDICTION) else ""
        return f"<Trace of {tokens}: {len(self.token_ids)} tokens, {len(self)} stages{answer}>"

    def _repr_html_(self) -> str:
        from sheetgpt.notebook.run import html

        return html(self)

    def step(self, name: str) -> Step:
        """The step of that name. Raises StageError (a KeyError too) that lists names like it."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownStageError(name, self._by_name) from None

    def array(self, name: str) -> np.ndarray:
        """The stage's matrix [rows, columns] without labels, read-only; `final_tokens` as ids [T]."""
        self.step(name)
        return self.arrays[name]

    def matrix(self, name: str) -> np.ndarray:
        """What the run computed with under this name, of stages, weights and its inputs, as an array [rows, columns].
        Raises UnknownStageError where there is none.
        """
        if name in self.arrays:
            return self.arrays[name]
        if self.weights is None or name not in self.weights:
            raise UnknownStageError(name, [*self._by_name, *self.sizes.weights])
        return self.overrides[name] if name in self.overrides else self.weights[name]

    def axes(self, name: str) -> tuple[frames.AxisLabels, frames.AxisLabels]:
        """The labels of a matrix stage: (rows, columns)."""
        step, (rows, columns) = self.step(name), self.array(name).shape
        return self.labels.rows(step, rows), self.labels.columns(step, columns)

    def role(self, role: Role) -> np.ndarray:
        """The array [rows, columns] of the stage that has this role; of the tokens the ids [T]."""
        return self.arrays[self.steps.name(role)]

    def has(self, role: Role) -> bool:
        """Is the stage of this role in this run? Of runs that were kept, some stages may have been left out."""
        return self.steps.has(role) and self.steps.name(role) in self.arrays

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers, float64 or float32."""
        return self.role(Role.LOGITS).dtype

    @property
    def token_ids(self) -> list[int]:
        """The ids of the prompt's tokens."""
        return [int(i) for i in self.role(Role.TOKENS)]

    @property
    def tokens(self) -> list[str]:
        """The prompt's tokens, as the token table spells them."""
        return list(self.labels.tokens)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of every stage of this run."""
        untied = self.weights is not None and self.weights.untied
        return Sizes(self.config, len(self.token_ids), self.tokens, untied)

    @property
    def weights_folder(self) -> Path | None:
        """The folder that the weights came from; None where they came from none."""
        return self.weights.folder if self.weights is not None else None

    # -------------------------------------------------------------------------------------------- texts

    def text_table(self, name: str) -> list[list[Any]]:
        """A stage of words, merges or tokens as the reference lays it out, row by row."""
        role = self.step(name).role
        if role is Role.TOKENS:
            return [self.tokens, self.token_ids]
        if role is Role.PREDICTION:
            return self.prediction_table()
        assert self.merges is not None
        return [self.merges.words] if role is Role.WORDS else self.merges.table()

    def prediction_table(self) -> list[list[Any]]:
        """The predicted token as the reference lays it out: greatest logit, id and token, a title before each."""
        best, token_id = self.role(Role.PREDICTION)[:, 0]
        token = self.labels.vocabulary()[int(token_id)]
        return [["Maximum logit value:", float(best)], ["Token ID:", int(token_id)], ["Predicted Token:", token]]

    def text_labels(self, name: str, count: int) -> Sequence[Any]:
        """The row labels of a text stage's table, which has `count` rows."""
        return ["Tokens", "Token IDs"] if self.step(name).role is Role.TOKENS else range(count)

    # -------------------------------------------------------------------------------------------- the answer

    @property
    def predicted_token(self) -> str:
        """The most probable next token, as the token table spells it."""
        return str(self.prediction_table()[2][1])

    def ranking(self) -> tuple[np.ndarray, np.ndarray]:  # [n_vocab] each, read-only
        """(each token's probability to come next [n_vocab], the ids from the most probable on [n_vocab]), both
        read-only; of equals, the smaller id comes first.
        """
        return self._ranking

    @cached_property
    def _ranking(self) -> tuple[np.ndarray, np.ndarray]:
        logits = self.role(Role.LOGITS)[:, -1].astype(np.float64)
        return read_only(probabilities(logits)), read_only(np.argsort(-logits, kind="stable"))

    @cached_property
    def ranks(self) -> np.ndarray:  # [n_vocab], read-only
        """Each token's rank [n_vocab], read-only; 1 is the most probable."""
        _, best = self.ranking()
        found = np.empty(len(best), int)
        found[best] = range(1, len(best) + 1)
        return read_only(found)

    def predictions(self, count: int = 10) -> list[Prediction]:
        """The most probable next tokens; of equals, the smaller id first."""
        logits, (shares, best) = self.role(Role.LOGITS)[:, -1], self.ranking()
        vocabulary = self.labels.vocabulary()
        return [
            Prediction(rank, i, vocabulary[i], float(logits[i]), float(shares[i]))
            for rank, i in enumerate(best[:count].tolist(), start=1)
        ]

    # -------------------------------------------------------------------------------------------- files

    def to_csv(self, folder: str | Path, *, head_layout: str = heads.HEADS) -> Path:
        """Write `FOLDER/STAGE.csv` for every stage and `FOLDER/manifest.json`. Returns the folder."""
        from sheetgpt.dump import write_folder

        return write_folder(self, Path(folder), head_layout=head_layout)

    def to_excel(
        self,
        path: str | Path,
        *,
        formulas: bool = False,
        head_layout: str = heads.HEADS,
        max_tokens: int | None = None,
        blocks: range | None = None,
        portable: bool = False,
        with_weights: bool = False,
    ) -> Path:
        """Write the workbook. Returns its path. Raises DumpError where it can't be, or can't be written.

        formulas: every stage a live formula, the weights on tabs; max_tokens: with room for so many tokens;
        blocks: only these blocks; portable: a formula a cell, for programs without array formulas.
        with_weights: the weights on tabs of their own, where stages aren't formulas.
        """
        if formulas:
            if portable:
                from sheetgpt.sheets.live.portable import write_portable_workbook as write
            else:
                from sheetgpt.sheets.live.write import write_live_workbook as write

            return write(self, Path(path), max_tokens=max_tokens, blocks=blocks)
        from sheetgpt.sheets.values import write_workbook

        return write_workbook(self, Path(path), head_layout=head_layout, with_weights=with_weights)
