"""Labels: a matrix becomes a DataFrame and a dump's header, and the checks that labels fit.

What a row or column counts is in the step (`rows`, `columns`); the texts come from the run (tokens, vocabulary).
Here too the reference's padded layout of the attention heads. pandas is imported only when a frame is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.models.gpt2 import Step


@dataclass(frozen=True)
class Axis:
    """The labels of one axis: a name and a list for each level. A matrix axis of plain numbers has one level."""

    names: tuple[str, ...]
    levels: tuple[Sequence, ...]

    def __len__(self):
        return len(self.levels[0])

    def flat(self) -> list[str]:
        """One text a label, as the CSV dumps show it.

        >>> Axis(("position", "token"), ([0, 1], ["Mike", " is"])).flat()
        ['0 Mike', '1  is']
        """
        texts = [map(str, level) for level in self.levels]
        return list(map(" ".join, zip(*texts, strict=True)))

    def index(self):
        """The labels as a pandas index."""
        import pandas as pd

        if len(self.levels) > 1:
            return pd.MultiIndex.from_arrays(self.levels, names=self.names)
        if isinstance(self.levels[0], range):
            return pd.RangeIndex(len(self), name=self.names[0])
        return pd.Index(self.levels[0], name=self.names[0])


@dataclass(frozen=True)
class Labels:
    """What the labels of one run are made of."""

    tokens: Sequence[str]  # of the prompt, as the token table spells them
    n_head: int
    vocabulary: Callable[[], Sequence[str]]  # every token by id; asked for only when logits are labelled

    def positions(self) -> Axis:
        return Axis(("position", "token"), (range(len(self.tokens)), self.tokens))

    def rows(self, step: Step, count: int) -> Axis:
        """The row labels of a stage that has `count` rows."""
        if step.rows == "tokens":
            axis = self.positions()
        elif step.rows == "last token":
            axis = Axis(("position", "token"), ([len(self.tokens) - 1], self.tokens[-1:]))
        elif step.rows == "vocabulary":
            vocabulary = self.vocabulary()
            axis = Axis(("id", "token"), (range(len(vocabulary)), vocabulary))
        else:
            axis = Axis(("row",), (range(count),))
        return self._fitting(step, "rows", axis, count)

    def columns(self, step: Step, count: int) -> Axis:
        """The column labels of a stage that has `count` columns."""
        n_tokens = len(self.tokens)
        if step.columns == "keys":
            axis = Axis(("key", "token"), (range(n_tokens), self.tokens))
        elif step.columns == "heads x keys" and count == self.n_head * n_tokens:
            heads = np.repeat(range(self.n_head), n_tokens).tolist()
            axis = Axis(
                ("head", "key", "token"), (heads, [*range(n_tokens)] * self.n_head, [*self.tokens] * self.n_head)
            )
        elif step.columns == "logit":
            axis = Axis(("",), (["logit"],))
        else:
            axis = Axis(("dimension",), (range(count),))
        return self._fitting(step, "columns", axis, count)

    @staticmethod
    def _fitting(step: Step, what: str, axis: Axis, count: int) -> Axis:
        if len(axis) != count:
            raise StageError(f"{step.name} has {count} {what} but {len(axis)} labels: the run's tokens do not fit it")
        return axis


def to_frame(matrix: np.ndarray, rows: Axis, columns: Axis):  # [rows, columns] -> DataFrame sharing the matrix
    import pandas as pd

    return pd.DataFrame(matrix, index=rows.index(), columns=columns.index(), copy=False)


def to_reference_heads(matrix: np.ndarray, n_head: int, head_size: int) -> np.ndarray:  # [T, H T] -> [T, H s]
    """The reference's layout of steps 6 and 7: head h in columns s h .. s h + T - 1, the rest of each slot 0.

    Raises StageError where T is larger than the head size: the reference's heads would overlap.
    """
    n_tokens = matrix.shape[0]
    if n_tokens > head_size:
        raise StageError(
            f"the reference's head layout holds {head_size} tokens (the head size) and the prompt has {n_tokens}: "
            "use --head-layout heads, or a shorter prompt"
        )
    padded = np.zeros((n_tokens, n_head, head_size), matrix.dtype)
    padded[:, :, :n_tokens] = matrix.reshape(n_tokens, n_head, n_tokens)
    return padded.reshape(n_tokens, n_head * head_size)


def from_reference_heads(padded: np.ndarray, n_head: int) -> np.ndarray:  # [T, H s] -> [T, H T]
    """The inverse of `to_reference_heads`."""
    n_tokens = padded.shape[0]
    return padded.reshape(n_tokens, n_head, -1)[:, :, :n_tokens].reshape(n_tokens, n_head * n_tokens)
