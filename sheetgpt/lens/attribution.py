"""Direct logit attribution: what each embedding, head, MLP and bias adds to a logit, or to a difference of two.

The logit is a sum over the last row of the residual stream once the final norm's scale is held fixed; `directions`
walks that sum back. A part's effect through later parts belongs in `ablation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.lens.directions import Part, parts_of
from sheetgpt.lens.stream import stream_of
from sheetgpt.lens.tables import Look, Report, Table, set_in
from sheetgpt.lens.tokens import Wanted, spelled, token_id
from sheetgpt.models.step import Role
from sheetgpt.run.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

SCALE = (
    "The scale of every norm on the way (the final norm's) is held fixed, as it is in this run; each part is centred "
    "on its own mean, as the norm centres their sum. So the parts add up to the logit."
)
DIRECT = (
    "Only what a part writes to the last token's row counts, not what later parts make of it. The bias of a head's "
    "values stays in the head, as its weights add up to 1; the attention output's bias stands by itself."
)


@dataclass(frozen=True)
class Attribution:
    """The parts of a logit (or of a difference of two), in the order of the data. Logits have no unit."""

    trace: Trace  #: the run
    token: int  #: the token's id
    against: int | None  #: the other token's id, of a difference
    value: float  #: the run's own logit or difference
    #: [parts, 6] a row a part: part, kind, block, head, source (the stage or weight it comes from), adds
    parts: pd.DataFrame
    blocks: pd.DataFrame  #: [blocks, pieces] the same of all blocks as a map: heads, MLP and biases by blocks
    by_token: pd.DataFrame  #: [heads, T] what each head adds, by the token that its values come from

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return float(self.parts["adds"].sum())

    def report(self, *, by_token: bool = False, top: int | None = None) -> Report:
        """The tables with their conventions; by_token: with the map of heads by positions; top: parts that a terminal
        shows.
        """
        ranked = self.parts.sort_values("adds", key=abs, ascending=False, kind="stable")
        listed = ranked[["source", "adds"]].set_axis(ranked["part"], axis=0)
        tables = [
            Table("blocks", "What each head, MLP and bias adds, by block", self.blocks, Look.DIVERGING),
            Table("parts", "Every part, the largest first", listed, Look.DIVERGING, shown=top),
        ]
        if by_token:
            title = "What each head adds, by the token that its values come from"
            tables.append(Table("by_token", title, self.by_token, Look.DIVERGING))
        return Report("Direct logit attribution", self.facts(), tables, (SCALE, DIRECT))

    def facts(self) -> dict[str, Any]:
        """What the report says of the run and the token."""
        facts: dict[str, Any] = {"prompt": self.trace.prompt} if self.trace.prompt is not None else {}
        facts |= {**set_in(self.trace), "token": spelled(self.trace, self.token)}
        if self.against is not None:
            facts["against"] = spelled(self.trace, self.against)
        return {**facts, "logit" if self.against is None else "logit difference": self.value, "sum": self.total}


def attribute(trace: Trace, token: Wanted | None = None, against: Wanted | None = None) -> Attribution:
    """What each part adds to the logit of `token` (default: the predicted one), or to its difference to `against`'s.

    A stage that was set in the run is a part by itself. Raises LensError where the model has no residual stream, or no
    such token, or where the logits were set.
    """
    stream = stream_of(trace)
    best = int(trace.role(Role.PREDICTION)[1, 0])
    a = best if token is None else token_id(trace, token)
    b = None if against is None else token_id(trace, against)
    found = parts_of(trace, stream, a, b)
    logits = trace.role(Role.LOGITS)[:, -1].astype(float)
    value = float(logits[a] - (0.0 if b is None else logits[b]))
    return Attribution(trace, a, b, value, listed(found), by_block(found), by_source(trace, found))


def listed(parts: list[Part]) -> pd.DataFrame:
    import pandas as pd

    columns = ("part", "kind", "block", "head", "source", "adds")
    frame = pd.DataFrame([[getattr(part, name) for name in columns[1:]] for part in parts], columns=list(columns[1:]))
    frame.insert(0, "part", [part.label for part in parts])
    return frame.astype({"block": "Int64", "head": "Int64"})


def by_block(parts: list[Part]) -> pd.DataFrame:  # blocks by heads, MLP, biases
    import pandas as pd

    inside = [part for part in parts if part.block is not None]
    columns = list(dict.fromkeys(part.place for part in inside))
    blocks = sorted({part.block for part in inside if part.block is not None})
    frame = pd.DataFrame(np.nan, pd.Index(blocks, name="block"), pd.Index(columns, name="part"))
    for part in inside:
        frame.loc[part.block, part.place] = part.adds
    return frame


def by_source(trace: Trace, parts: list[Part]) -> pd.DataFrame:  # heads by positions
    import pandas as pd

    heads = [part for part in parts if part.by_token is not None]
    index = pd.MultiIndex.from_arrays([[p.block for p in heads], [p.head for p in heads]], names=["block", "head"])
    values = np.array([part.by_token for part in heads]).reshape(len(heads), len(trace.token_ids))
    return pd.DataFrame(values, index, trace.labels.positions().index())
