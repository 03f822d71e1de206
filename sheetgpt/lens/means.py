"""The mean of each stage over the positions of a corpus: what stands in for a piece that is taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sheetgpt.errors import LensError
from sheetgpt.lens.changes import weights_of
from sheetgpt.lens.stream import Stream, stream_of
from sheetgpt.models.step import POSITIONS, Role
from sheetgpt.run.follow import follow
from sheetgpt.run.trace import Trace

ROWS = 2048  # computed at once
Advance = Callable[[int, int], object]


@dataclass(frozen=True)
class Means:
    """The mean row of each stage that can be taken out, and of how much it is the mean."""

    rows: dict[str, np.ndarray]  #: [columns] by the stage's name
    n_documents: int  #: documents that were averaged over
    n_positions: int  #: positions that were averaged over


def corpus_means(trace: Trace, documents: Iterable[Sequence[int]], advance: Advance | None = None) -> Means:
    """The means over all positions of documents of token ids, in a run's model.

    Documents longer than the context are cut, and each piece is run by itself. Weights that were set in the run stay
    so; stages that were set are computed, as what was set belongs to the run's own prompt. Raises LensError where there
    is no token at all.
    """
    stages = replaceable(stream_of(trace))
    given = list(filter(None, map(list, documents)))
    cut = [part for document in given for part in pieces(document, trace.config.n_ctx)]
    if not cut:
        raise LensError("the corpus has no tokens to take the mean over", remedy="give a text with one document a line")
    sums = {name: np.zeros(1) for name in stages}
    total, done = sum(map(len, cut)), 0
    for batch in batches(cut):
        for name, rows in computed(trace, batch, stages).items():
            sums[name] = sums[name] + rows.reshape(-1, rows.shape[-1]).sum(0, dtype=np.float64)
        done += batch.size
        if advance:
            advance(done, total)
    return Means({name: rows / total for name, rows in sums.items()}, len(given), total)


def replaceable(stream: Stream) -> list[str]:
    """The stages that an ablation replaces: attended values, and what MLPs add."""
    return [write.made.name if write.mix is None else write.mix.name for write in stream.writes]


def pieces(document: Sequence[int], n_ctx: int) -> list[Sequence[int]]:
    """Cut where the context ends.

    >>> pieces([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4], [5]]
    """
    return [document[start : start + n_ctx] for start in range(0, len(document), n_ctx)]


def batches(documents: Iterable[Sequence[int]]) -> Iterable[np.ndarray]:  # each [B, T]
    """Documents of one length together."""
    by_length: dict[int, list[Sequence[int]]] = {}
    for document in documents:
        by_length.setdefault(len(document), []).append(document)
    for length, found in by_length.items():
        step = max(1, ROWS // length)
        yield from (np.array(found[start : start + step]) for start in range(0, len(found), step))


def computed(trace: Trace, ids: np.ndarray, stages: Sequence[str]) -> dict[str, np.ndarray]:
    given = {POSITIONS: np.arange(ids.shape[-1])}
    changed = {trace.steps.name(Role.TOKENS): ids}
    return follow(trace.steps, weights_of(trace), given, changed, stages, trace.dtype)
