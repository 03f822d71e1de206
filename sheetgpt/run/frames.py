"""Labels: a matrix becomes a DataFrame and a dump's header, and the checks that labels fit.

What a row or column counts is in the step (`rows`, `columns`); the texts come from the run (tokens, vocabulary).
pandas is imported only when a frame is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.models.step import Axis, Step

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AxisLabels", "Labels", "to_frame"]


@dataclass(frozen=True)
class AxisLabels:
    """The labels of one axis: a name and a list for each level. A matrix axis of plain numbers has one level."""

    names: tuple[str, ...]  #: what each level is: position, token, head, ...
    levels: tuple[Sequence[Any], ...]  #: each level's labels

    def __len__(self) -> int:
        return len(self.levels[0])

    def flat(self) -> list[str]:
        """One text a label, as the CSV dumps show it.

        >>> AxisLabels(("position", "token"), ([0, 1], ["Mike", " is"])).flat()
        ['0 Mike', '1  is']
        """
        texts = [map(str, level) for level in self.levels]
        return list(map(" ".join, zip(*texts, strict=True)))

    def index(self) -> pd.Index:
        """The labels as a pandas index."""
        import pandas as pd

        if len(self.levels) > 1:
            return pd.MultiIndex.from_arrays([list(level) for level in self.levels], names=self.names)
        if isinstance(self.levels[0], range):
            return pd.RangeIndex(len(self), name=self.names[0])
        index: pd.Index = pd.Index(self.levels[0], name=self.names[0])
        return index


@dataclass(frozen=True)
class Labels:
    """What the labels of one run are made of."""

    tokens: Sequence[str]  #: of the prompt, as the token table spells them
    n_head: int  #: how many heads share the columns of scores
    vocabulary: Callable[[], Sequence[str]]  #: every token by id; asked for only when logits are labelled

    def positions(self) -> AxisLabels:
        """The labels of a row a token: its position and the token."""
        return AxisLabels(("position", "token"), (range(len(self.tokens)), self.tokens))

    def rows(self, step: Step, count: int) -> AxisLabels:
        """The row labels of a stage that has `count` rows."""
        if step.rows is Axis.TOKENS:
            axis = self.positions()
        elif step.rows is Axis.LAST_TOKEN:
            axis = AxisLabels(("position", "token"), ([len(self.tokens) - 1], self.tokens[-1:]))
        elif step.rows is Axis.VOCABULARY:
            vocabulary = self.vocabulary()
            axis = AxisLabels(("id", "token"), (range(len(vocabulary)), vocabulary))
        else:
            axis = AxisLabels(("row",), (range(count),))
        return self._fitting(step, "rows", axis, count)

    def columns(self, step: Step, count: int) -> AxisLabels:
        """The column labels of a stage that has `count` columns."""
        n_tokens = len(self.tokens)
        if step.columns is Axis.KEYS:
            axis = AxisLabels(("key", "token"), (range(n_tokens), self.tokens))
        elif step.by_head and count == self.n_head * n_tokens:
            heads = np.repeat(range(self.n_head), n_tokens).tolist()
            axis = AxisLabels(
                ("head", "key", "token"), (heads, [*range(n_tokens)] * self.n_head, [*self.tokens] * self.n_head)
            )
        elif step.columns is Axis.LOGIT:
            axis = AxisLabels(("",), (["logit"],))
        else:
            axis = AxisLabels(("dimension",), (range(count),))
        return self._fitting(step, "columns", axis, count)

    @staticmethod
    def _fitting(step: Step, what: str, axis: AxisLabels, count: int) -> AxisLabels:
        if len(axis) != count:
            raise StageError(f"{step.name} has {count} {what} but {len(axis)} labels: the run's tokens do not fit it")
        return axis


def to_frame(
    matrix: np.ndarray, rows: AxisLabels, columns: AxisLabels
) -> pd.DataFrame:  # [rows, columns] -> DataFrame sharing the matrix
    """A matrix [rows, columns] as a DataFrame with these labels, which shares the matrix."""
    import pandas as pd

    return pd.DataFrame(matrix, index=rows.index(), columns=columns.index(), copy=False)


def text_frame(table: Sequence[Sequence[Any]], labels: Sequence[Any]) -> pd.DataFrame:
    """A stage of words, merges or tokens, row by row."""
    import pandas as pd

    return pd.DataFrame(table, dtype=object, index=pd.Index(labels))
