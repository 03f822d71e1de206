"""The mean and the spread of numbers that come one set after another, by their labels; nothing else is kept.

What the numbers are belongs in `gathered`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Spread"]

MEAN, DEVIATION, LEAST, GREATEST, COUNT = STATISTICS = ("mean", "standard deviation", "least", "greatest", "prompts")


@dataclass(frozen=True)
class Spread:
    """Sums over the sets so far, a number a label, as Welford (1962) adds them up."""

    labels: pd.Index  #: what the numbers belong to
    count: np.ndarray  #: [labels] how many sets have a number there
    mean: np.ndarray  #: [labels] their mean
    squares: np.ndarray  #: [labels] the sum of the squares of the distances from the mean
    least: np.ndarray  #: [labels] the least number
    greatest: np.ndarray  #: [labels] the greatest number

    @classmethod
    def of(cls, values: pd.Series) -> Spread:
        """Of one set [labels]. NaN is an empty cell, which no prompt counts in."""
        found = values.dropna()
        numbers, zeros = found.to_numpy(float), np.zeros(len(found))
        return cls(found.index, zeros + 1, numbers, zeros, numbers, numbers)

    def with_more(self, values: pd.Series) -> Spread:
        """With one set [labels] more; a label that is new stands behind the others.

        >>> import pandas as pd
        >>> Spread.of(pd.Series({"a": 1.0})).with_more(pd.Series({"a": 3.0, "b": 5.0})).table()["mean"].to_dict()
        {'a': 2.0, 'b': 5.0}
        """
        if not self.labels.equals(values.index):
            found = values.dropna()
            labels = self.labels.append(found.index.difference(self.labels, sort=False))
            if len(labels) > len(self.labels):
                return self._among(labels).with_more(found.reindex(labels))
            values = found.reindex(labels)
        new = values.to_numpy(float)
        there = ~np.isnan(new)
        count = self.count + there
        distance = np.where(there, new - self.mean, 0)
        mean = self.mean + distance / count
        squares = self.squares + distance * np.where(there, new - mean, 0)
        return Spread(self.labels, count, mean, squares, np.fmin(self.least, new), np.fmax(self.greatest, new))

    def _among(self, labels: pd.Index) -> Spread:
        """The same with more labels behind its own, of which nothing has been seen."""
        more = len(labels) - len(self.labels)
        empty = (0.0, 0.0, 0.0, np.nan, np.nan)
        kept = (self.count, self.mean, self.squares, self.least, self.greatest)
        return Spread(labels, *(np.append(one, [fill] * more) for one, fill in zip(kept, empty, strict=True)))

    def table(self) -> pd.DataFrame:  # labels by STATISTICS
        """What the sets amount to, [labels, 5]; the standard deviation's square is divided by their number."""
        import pandas as pd

        columns = (self.mean, np.sqrt(self.squares / self.count), self.least, self.greatest, self.count.astype(int))
        return pd.DataFrame(dict(zip(STATISTICS, columns, strict=True)), self.labels)
