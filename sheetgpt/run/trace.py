"""The forward run: steps, weights and token ids in, every stage's matrix out, and the Trace that shows them as frames.

Here: computing, overriding, resuming. Labels are `frames`', files are `dump`'s and `workbook`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sheetgpt.bpe import MergeTrace
from sheetgpt.errors import StageError
from sheetgpt.models.config import Config
from sheetgpt.models.gpt2 import Step, matrix_steps
from sheetgpt.run import frames

NO_OVERRIDES: Mapping[str, np.ndarray] = {}
HEAD_LAYOUTS = ("heads", "reference")


def forward(
    steps: list[Step],
    weights: Mapping[str, np.ndarray],
    given: Mapping[str, np.ndarray],
    *,
    dtype: np.dtype | str = np.float64,
    overrides: Mapping[str, np.ndarray] = NO_OVERRIDES,
    base: Mapping[str, np.ndarray] = NO_OVERRIDES,
) -> dict[str, np.ndarray]:
    """Every stage's matrix by name, in order, each read-only and of `dtype`.

    given: the run's inputs, token ids [..., T] and positions [T] (`steps.INPUTS`).
    overrides: matrices that replace a stage or a weight.
    base: the stages of a run without the overrides; what doesn't depend on an override is taken from it.
    """
    values = dict(given)
    changed = set(overrides)
    for step in matrix_steps(steps):
        if step.name in overrides:
            value = overrides[step.name]
        elif step.name in base and not changed.intersection(step.inputs):
            value = base[step.name]
        else:
            inputs = [
                values[name] if name in values else overrides.get(name, weights.get(name)) for name in step.inputs
            ]
            value = step.op.value(*inputs)
            changed.add(step.name)
        matrix = np.asarray(value, dtype).view()
        matrix.flags.writeable = False
        values[step.name] = matrix
    return values


@dataclass(frozen=True)
class Prediction:
    """One row of the table of the most probable next tokens."""

    rank: int
    id: int
    token: str
    logit: float
    probability: float


@dataclass(frozen=True)
class Trace(Mapping):
    """One run, stage by stage: a mapping from a stage's name to its labelled DataFrame, in the order of the data.

    `trace.array(name)` is the matrix without labels; frames are made when asked for and share it.
    """

    config: Config
    steps: list[Step]
    arrays: Mapping[str, np.ndarray]  # `final_tokens` holds the token ids [T]
    labels: frames.Labels
    prompt: str | None = None
    merges: MergeTrace | None = None  # of the prompt; None where the run began with token ids
    weights_folder: Path | None = None
    overridden: tuple[str, ...] = ()
    _by_name: dict[str, Step] = field(init=False, repr=False)

    def __post_init__(self):
        shown = {step.name: step for step in self.steps if step.name in self.arrays or self.merges is not None}
        object.__setattr__(self, "_by_name", shown)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str):
        step = self.step(name)
        if step.rows == "text":
            return self._text_frame(name)
        matrix = self.array(name)
        return frames.to_frame(matrix, *self.axes(name))

    def step(self, name: str) -> Step:
        """The step of that name. Raises StageError (a KeyError too) that lists names like it."""
        try:
            return self._by_name[name]
        except KeyError:
            raise unknown_stage(name, self._by_name) from None

    def array(self, name: str) -> np.ndarray:
        """The stage's matrix [rows, columns] without labels, read-only; `final_tokens` as ids [T]."""
        self.step(name)
        return self.arrays[name]

    def axes(self, name: str) -> tuple[frames.Axis, frames.Axis]:
        """The labels of a matrix stage: (rows, columns)."""
        step, (rows, columns) = self.step(name), self.array(name).shape
        return self.labels.rows(step, rows), self.labels.columns(step, columns)

    @property
    def dtype(self) -> np.dtype:
        return self.arrays["logits"].dtype

    @property
    def token_ids(self) -> list[int]:
        return self.arrays["final_tokens"].tolist()

    @property
    def tokens(self) -> list[str]:
        return list(self.labels.tokens)

    def text_table(self, name: str) -> list[list]:
        """A stage of words, merges or tokens as the reference lays it out, row by row."""
        if name == "separated_into_words":
            return [self.merges.words]
        if name == "prompt_to_tokens":
            return self.merges.table()
        if name == "final_tokens":
            return [self.tokens, self.token_ids]
        best, token_id = self.arrays["predicted_token"][:, 0]
        token = self.labels.vocabulary()[int(token_id)]
        return [["Maximum logit value:", float(best)], ["Token ID:", int(token_id)], ["Predicted Token:", token]]

    def text_labels(self, name: str, count: int) -> Sequence:
        """The row labels of a text stage's table, which has `count` rows."""
        return ["Tokens", "Token IDs"] if name == "final_tokens" else range(count)

    def _text_frame(self, name: str):
        import pandas as pd

        table = self.text_table(name)
        return pd.DataFrame(table, dtype=object, index=self.text_labels(name, len(table)))

    @property
    def predicted_token(self) -> str:
        return self.text_table("predicted_token")[2][1]

    def predictions(self, count: int = 10) -> list[Prediction]:
        """The most probable next tokens; of equals, the smaller id first."""
        logits = self.arrays["logits"][:, -1].astype(np.float64)
        weights = np.exp(logits - logits.max())
        probabilities = weights / weights.sum()
        best = np.argsort(-logits, kind="stable")[:count].tolist()
        vocabulary = self.labels.vocabulary()
        return [
            Prediction(rank, i, vocabulary[i], float(logits[i]), float(probabilities[i]))
            for rank, i in enumerate(best, start=1)
        ]

    def to_csv(self, folder: str | Path, *, head_layout: str = "heads") -> Path:
        """Write `FOLDER/STAGE.csv` for every stage and `FOLDER/manifest.json`. Returns the folder."""
        from sheetgpt.dump import write_folder

        return write_folder(self, Path(folder), head_layout=head_layout)

    def to_excel(self, path: str | Path, *, head_layout: str = "heads") -> Path:
        """Write the workbook. Returns its path."""
        from sheetgpt.sheets.values import write_workbook

        return write_workbook(self, Path(path), head_layout=head_layout)


class UnknownStageError(StageError, KeyError):
    """No such stage: a StageError for the command line, a KeyError for whoever treats a trace as a mapping."""

    __str__ = StageError.__str__


def unknown_stage(name: str, known) -> UnknownStageError:
    from difflib import get_close_matches

    like = get_close_matches(str(name), list(known), n=3) or list(known)[:3]
    return UnknownStageError(f"no stage is called {name!r}; did you mean {', '.join(like)}?")
