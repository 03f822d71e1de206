"""The mean and the spread of numbers that come one set after another, by their labels; nothing else is kept.

What the numbers are belongs in `gathered` and in `training.loss_of_prompts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MEAN, DEVIATION, LEAST, GREATEST, COUNT = STATISTICS = ("mean", "standard deviation", "least", "greatest", "prompts")


@dataclass(frozen=True)
class Spread:
    """Sums over the sets so far. squares: of the distances from the mean, as Welford adds them up."""

    count: pd.Series
    mean: pd.Series
    squares: pd.Series
    least: pd.Series
    greatest: pd.Series

    @classmethod
    def of(cls, values: pd.Series) -> Spread:
        """Of one set. NaN is an empty cell, which no prompt counts in."""
        found = values.dropna().astype(float)
        return cls(found * 0 + 1, found, found * 0, found, found)

    def with_more(self, values: pd.Series) -> Spread:
        """With one set more; a label that is new stands behind the others.

        >>> import pandas as pd
        >>> Spread.of(pd.Series({"a": 1.0})).with_more(pd.Series({"a": 3.0, "b": 5.0})).table()["mean"].to_dict()
        {'a': 2.0, 'b': 5.0}
        """
        found = values.dropna().astype(float)
        labels = self.mean.index
        if not labels.equals(found.index):
            labels = labels.append(found.index.difference(labels, sort=False))
        new, old = found.reindex(labels), self._among(labels)
        count = old.count + new.notna()
        distance = (new - old.mean).fillna(0)
        mean = old.mean + distance / count
        squares = old.squares + distance * (new - mean).fillna(0)
        least, greatest = (one.where(one.notna(), new) for one in (old.least, old.greatest))
        return Spread(count, mean, squares, least.mask(new < least, new), greatest.mask(new > greatest, new))

    def _among(self, labels: pd.Index) -> Spread:
        """The same among more labels, of which nothing has been seen."""
        empty = (0.0, 0.0, 0.0, np.nan, np.nan)
        kept = (self.count, self.mean, self.squares, self.least, self.greatest)
        return Spread(*(one.reindex(labels, fill_value=fill) for one, fill in zip(kept, empty, strict=True)))

    def table(self) -> pd.DataFrame:  # labels by STATISTICS
        """What the sets amount to; the standard deviation's square is divided by their number."""
        import pandas as pd

        columns = (self.mean, np.sqrt(self.squares / self.count), self.least, self.greatest, self.count.astype(int))
        return pd.DataFrame(dict(zip(STATISTICS, columns, strict=True)))
