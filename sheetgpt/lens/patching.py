"""Activation patching between two prompts: CORRUPT's run with a piece of CLEAN's; how much of the metric comes back.

A piece is a stage's row at one position; of stages that have a slice of columns for each head, one head's slice of it.
A patch costs what follows from its stage; patches of one stage run side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.errors import LensError, StageError, UnknownStageError
from sheetgpt.lens import metrics
from sheetgpt.lens.changes import logits_after
from sheetgpt.lens.metrics import Metric
from sheetgpt.lens.stream import stream_of
from sheetgpt.lens.tables import LONGEST_TAB, Look, Report, Table, quoted
from sheetgpt.models.step import Axis, Role, Step
from sheetgpt.run.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

ROWS = 512  # computed at once
WHOLE = -1  # the head of a piece that is a whole row
NOTE = (
    "Each cell is CORRUPT's run with that one piece of CLEAN's: (metric - CORRUPT's) / (CLEAN's - CORRUPT's). 1 brings "
    "all of the metric back, 0 nothing; below 0 or above 1 it goes beyond."
)
Advance = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Patching:
    """How much of the metric each piece brings back: 0 is CORRUPT's run, 1 is CLEAN's."""

    clean: Trace  #: the run that pieces come from
    corrupt: Trace  #: the run that they are put into
    metric: Metric  #: what is measured
    clean_metric: float  #: CLEAN's
    corrupt_metric: float  #: CORRUPT's
    patches: pd.DataFrame  #: [pieces, 6] a row a piece: stage, block, head, position, metric, recovered
    #: [layers (and heads), T] what is recovered, for each kind of stage, by its name with `*` for the block
    maps: dict[str, pd.DataFrame]

    def report(self) -> Report:
        """The maps with their conventions."""
        titles = {step.in_any_block: step.title for step in self.clean.steps}
        facts: dict[str, Any] = {"clean": self.clean.prompt, "corrupt": self.corrupt.prompt}
        return Report(
            "Patching",
            {
                **{name: value for name, value in facts.items() if value is not None},
                "metric": self.metric.name,
                "clean metric": self.clean_metric,
                "corrupt metric": self.corrupt_metric,
            },
            [
                Table(tab_name(name), f"{titles[name]} ({name}): how much comes back", frame, Look.DIVERGING, span=1.0)
                for name, frame in self.maps.items()
            ],
            (NOTE,),
        )


def tab_name(stage: str) -> str:
    """A tab's name has at most 31 characters, and can't hold the sign for any block.

    >>> tab_name("block_*_step_16")
    'block_step_16'
    """
    return re.sub(r"_?\*|[^\w ]", "", stage)[:LONGEST_TAB]


def patch(
    clean: Trace,
    corrupt: Trace,
    stages: str | Sequence[str] | None = None,
    metric: str | Metric | None = None,
    advance: Advance | None = None,
) -> Patching:
    """CORRUPT's run with each piece of CLEAN's in turn. What was set in either run stays set.

    stages: names or patterns such as "block_*_step_16"; by default what each block leaves behind, and what attention
    and MLP add. metric: see `metrics.parse`; by default the logit difference of the two predictions.
    Raises LensError where prompts, metric or model don't fit, StageError where a stage has no rows by position.
    """
    require_alike(clean, corrupt)
    found = chosen(corrupt, stages)
    measure = metrics.default(clean, corrupt) if metric is None else metric
    measure = metrics.parse(measure, clean) if isinstance(measure, str) else measure
    ends = [float(measure.of(trace.role(Role.LOGITS))) for trace in (clean, corrupt)]
    if ends[0] == ends[1]:
        what = f"{measure.name} is {ends[0]:.6g} in both runs, so there is nothing to bring back"
        raise LensError(what, remedy="give prompts that differ, or another --metric")
    rows, total = [], sum(len(pieces_of(step, corrupt)) for step in found)
    for step in found:
        for piece, value in patched(clean, corrupt, step, measure, ends[1]):
            rows.append((step, *piece, value, (value - ends[1]) / (ends[0] - ends[1])))
            if advance:
                advance(len(rows), total, step.name)
    return Patching(clean, corrupt, measure, ends[0], ends[1], listed(rows), maps_of(clean, corrupt, rows))


def require_alike(clean: Trace, corrupt: Trace) -> None:
    """Raises LensError where the runs can't lend each other a piece.

    Two models of the same sizes can: then their weights' difference comes back, too.
    """
    if clean.config != corrupt.config:
        raise LensError("the two runs are of two models", remedy="run both prompts with one")
    counts = [len(trace.token_ids) for trace in (clean, corrupt)]
    if counts[0] != counts[1]:
        what = f"CLEAN has {counts[0]} tokens and CORRUPT has {counts[1]}"
        raise LensError(what, remedy="give prompts of the same number of tokens (`sheetgpt tokenize` shows them)")


# ------------------------------------------------------------------------------------------------ stages and pieces


def chosen(trace: Trace, wanted: str | Sequence[str] | None) -> list[Step]:
    """The steps whose stages are patched, in order."""
    if wanted is None:
        stream = stream_of(trace)
        names = [write.made.name for write in stream.writes] + [
            writes[-1].after.name for writes in stream.blocks.values()
        ]
        return by_kind([trace.steps[name] for name in names])
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return list(dict.fromkeys(step for pattern in patterns for step in matching(trace, pattern)))


def by_kind(steps: Sequence[Step]) -> list[Step]:
    """Those of one kind together, the kind that comes last in a block first: the stream before what is added to it."""
    return sorted(steps, key=lambda step: (-(step.number or 0), step.block or 0))


def matching(trace: Trace, pattern: str) -> list[Step]:
    """The steps of a name or pattern. Raises StageError where none has that name, or they have no rows by position."""
    found = [step for step in trace.steps if fnmatchcase(step.name, pattern)]
    if not found:
        raise UnknownStageError(pattern, [step.name for step in trace.steps if step.rows is Axis.TOKENS])
    by_position = [step for step in found if step.rows is Axis.TOKENS]
    if not by_position:
        nearest = [step.name for step in trace.steps if step.rows is Axis.TOKENS]
        what = f"{found[0].name} has no row for each position, so no position of it can be patched"
        raise StageError(what, remedy=f"choose a stage such as {nearest[-1]}")
    return by_position


def pieces_of(step: Step, trace: Trace) -> list[tuple[int, int]]:
    """(head, position) of each piece of a stage; the head is `WHOLE` where rows aren't divided."""
    heads = range(trace.config.n_head) if step.is_divided else [WHOLE]
    return [(head, position) for head in heads for position in range(len(trace.token_ids))]


def columns_of(step: Step, trace: Trace, head: int) -> slice:
    if head == WHOLE:
        return slice(None)
    width = trace.arrays[step.name].shape[1] // trace.config.n_head
    return slice(head * width, (head + 1) * width)


def patched(
    clean: Trace, corrupt: Trace, step: Step, metric: Metric, unchanged: float
) -> Iterator[tuple[tuple[int, int], float]]:
    """Each piece of a stage, and the metric of CORRUPT's run with it.

    subtle: a piece that both runs share changes nothing, so nothing is computed for it: beside others, where a matrix
    product has more rows, the last bit of a number could change.
    """
    theirs, ours = clean.arrays[step.name], corrupt.arrays[step.name]
    pieces = pieces_of(step, corrupt)
    cells = {piece: (piece[1], columns_of(step, corrupt, piece[0])) for piece in pieces}
    differing = [piece for piece in pieces if not np.array_equal(theirs[cells[piece]], ours[cells[piece]])]
    values = dict.fromkeys(pieces, unchanged)
    most = max(1, ROWS // len(ours))
    for start in range(0, len(differing), most):
        together = differing[start : start + most]
        runs = np.repeat(ours[None], len(together), axis=0)
        for run, piece in zip(runs, together, strict=True):
            run[cells[piece]] = theirs[cells[piece]]
        values.update(zip(together, metric.of(logits_after(corrupt, step.name, runs)).tolist(), strict=True))
        yield from ((piece, values.pop(piece)) for piece in together)
    yield from values.items()


# ------------------------------------------------------------------------------------------------ tables

Row = tuple[Step, int, int, float, float]  # step, head, position, metric, recovered


def listed(rows: Sequence[Row]) -> pd.DataFrame:
    import pandas as pd

    order = sorted(range(len(rows)), key=lambda i: (rows[i][1], rows[i][2]))
    columns = ["stage", "block", "head", "position", "metric", "recovered"]
    cells = [
        [step.name, step.block, None if head == WHOLE else head, position, metric, recovered]
        for step, head, position, metric, recovered in (rows[i] for i in order)
    ]
    return pd.DataFrame(cells, columns=columns).astype({"block": "Int64", "head": "Int64"})


def maps_of(clean: Trace, corrupt: Trace, rows: Sequence[Row]) -> dict[str, pd.DataFrame]:
    """Layers (and heads) by positions, for each kind of stage."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row[0].in_any_block, []).append(row)
    return {kind: map_of(clean, corrupt, found) for kind, found in kinds.items()}


def map_of(clean: Trace, corrupt: Trace, rows: Sequence[Row]) -> pd.DataFrame:
    import pandas as pd

    cells = {(step.block, head, position): recovered for step, head, position, _, recovered in rows}
    lines = sorted({(step.block, head) for step, head, *_ in rows}, key=lambda line: (line[0] or 0, line[1]))
    labels = [f"block {block}" if block is not None else rows[0][0].name for block, _ in lines]
    index: pd.Index = pd.Index(labels, name="layer")
    if lines[0][1] != WHOLE:
        index = pd.MultiIndex.from_arrays([labels, [head for _, head in lines]], names=["layer", "head"])
    positions = range(len(corrupt.token_ids))
    values = [[cells[block, head, position] for position in positions] for block, head in lines]
    return pd.DataFrame(values, index, both_tokens(clean, corrupt))


def both_tokens(clean: Trace, corrupt: Trace) -> pd.Index:
    """The positions with their tokens; both where the prompts differ, CLEAN's first."""
    import pandas as pd

    pairs = zip(clean.tokens, corrupt.tokens, strict=True)
    tokens = ["/".join(map(quoted, dict.fromkeys(pair))) for pair in pairs]
    return pd.MultiIndex.from_arrays([range(len(tokens)), tokens], names=["position", "tokens"])
