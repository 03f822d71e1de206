"""The logit lens (nostalgebraist 2020): what would be predicted if the blocks ended here.

Every row of the residual stream goes through what follows the last block, the final norm and the language head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.errors import LensError
from sheetgpt.lens.changes import weights_of
from sheetgpt.lens.stream import Stream, stream_of
from sheetgpt.lens.tables import Look, Report, Table, set_in
from sheetgpt.lens.tokens import Wanted, spelled, token_id
from sheetgpt.models import kinds
from sheetgpt.models.step import Role, Step, Steps
from sheetgpt.run.follow import follow
from sheetgpt.run.trace import Trace, probabilities

if TYPE_CHECKING:
    import pandas as pd

ROWS = 128  # scored at once: of GPT-2, each takes 0.4 MB
NOTE = (
    "Every row goes through what follows the last block: {}. So the final norm, where the model has one, is applied, "
    "with each row's own mean and scale."
)


@dataclass(frozen=True)
class LogitLens:
    """Tokens by layers: the best token and its probability, the rank and the probability of the one looked for."""

    trace: Trace  #: the run
    stages: tuple[str, ...]  #: the stage of the residual stream that each column reads
    #: the id of the token that is looked for in every row; None where each row's own final prediction is
    target: int | None
    best: pd.DataFrame  #: [T, layers] the best token
    best_probability: pd.DataFrame  #: [T, layers] its probability, 0 to 1
    rank: pd.DataFrame  #: [T, layers] the rank of the token looked for; 1 is the best
    probability: pd.DataFrame  #: [T, layers] its probability, 0 to 1
    head: tuple[str, ...]  #: what each row goes through, by the steps' titles

    @property
    def looked_for(self) -> str:
        """The token whose rank is shown, in words."""
        return "the row's final prediction" if self.target is None else f'"{spelled(self.trace, self.target)}"'

    def report(self) -> Report:
        """The tables with their conventions."""
        what = self.looked_for
        facts = {
            "prompt": self.trace.prompt,
            **set_in(self.trace),
            "token": None if self.target is None else spelled(self.trace, self.target),
        }
        return Report(
            "Logit lens",
            {name: value for name, value in facts.items() if value is not None} | {"stages": list(self.stages)},
            [
                Table("best", "The best token after each layer", self.best, Look.TOKENS),
                Table(
                    "best_probability",
                    "The best token's probability",
                    self.best_probability,
                    Look.SHARES,
                    texts=self.best,
                ),
                Table("rank", f"The rank of {what}", self.rank, Look.RANKS),
                Table("probability", f"The probability of {what}", self.probability, Look.SHARES),
            ],
            (NOTE.format(", ".join(self.head)),),
        )


def logit_lens(trace: Trace, token: Wanted | None = None, *, sublayers: bool = False) -> LogitLens:
    """What would be predicted from every row of the residual stream, after the embeddings and after every block.

    token: whose rank and probability are shown; by default each row's final prediction. sublayers: after attention and
    after the MLP. Raises LensError where the model has no residual stream, or no such token, or where a stage behind
    the last block was set, which no other row goes through.
    """
    stream = stream_of(trace)
    require_own_head(trace, stream)
    target = None if token is None else token_id(trace, token)
    layers = dict(layers_of(stream, sublayers=sublayers))
    steps = kinds.model_steps(trace.config, untied=trace.sizes.untied, every_row=True)
    found = looked_at(trace, steps, stream, list(layers.values()), target)
    vocabulary = np.array(trace.labels.vocabulary(), dtype=object)
    best, best_probability, rank, probability = (framed(trace, list(layers), one) for one in found)
    return LogitLens(
        trace,
        tuple(step.name for step in layers.values()),
        target,
        best.map(lambda i: vocabulary[i]),
        best_probability,
        rank,
        probability,
        tuple(step.title for step in head_of(steps, stream)),
    )


def layers_of(stream: Stream, *, sublayers: bool) -> Iterator[tuple[str, Step]]:
    """The layers' labels, and the stage that stands after each."""
    yield "embeddings", stream.start
    for block, writes in stream.blocks.items():
        if sublayers:
            yield from ((f"block {block} {write.kind}", write.after) for write in writes)
        else:
            yield f"block {block}", writes[-1].after


def require_own_head(trace: Trace, stream: Stream) -> None:
    """Raises LensError where a stage behind the last block was set."""
    behind = [step.name for step in head_of(trace.steps, stream) if step.name in trace.overrides]
    if behind:
        what = f"{behind[0]} was set in this run: it stands behind the last block, where every row would go through it"
        raise LensError(what, remedy="set a stage of the blocks, or a weight")


def head_of(steps: Steps, stream: Stream) -> list[Step]:
    """What follows the end of the stream, up to the logits."""
    names = [step.name for step in steps]
    last = names.index(steps.name(Role.LOGITS))
    return list(steps[names.index(stream.end.name) + 1 : last + 1])


def looked_at(
    trace: Trace, steps: Steps, stream: Stream, stages: Sequence[Step], target: int | None
) -> list[np.ndarray]:  # four of [T, layers]: best ids, their probabilities, the target's ranks and probabilities
    logits, count = steps.name(Role.LOGITS), len(trace.token_ids)
    found = [np.zeros((count, len(stages)), kind) for kind in (int, float, int, float)]
    ids = np.full(count, -1 if target is None else target)
    for column in reversed(range(len(stages))):  # the last layer first: it says what is looked for
        for start in range(0, count, ROWS):
            rows = slice(start, start + ROWS)
            x = trace.arrays[stages[column].name][rows]
            made = follow(steps, weights_of(trace), {}, {stream.end.name: x}, (logits,), trace.dtype)[logits]
            if target is None and column == len(stages) - 1:
                ids[rows] = made.argmax(0)
            for matrix, values in zip(found, measured(made.astype(np.float64), ids[rows]), strict=True):
                matrix[rows, column] = values
    return found


def measured(logits: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, ...]:  # [n_vocab, R], [R] -> four of [R]
    """(the best ids, their probabilities, the ranks of `ids`, their probabilities); of equals, the smaller id first."""
    best, places = logits.argmax(0), np.arange(len(ids))
    shares = probabilities(logits, axis=0)
    own = logits[ids, places]
    before = np.arange(len(logits))[:, None] < ids
    ranks = 1 + (logits > own).sum(0) + ((logits == own) & before).sum(0)
    return best, shares[best, places], ranks, shares[ids, places]


def framed(trace: Trace, layers: list[str], matrix: np.ndarray) -> pd.DataFrame:
    """Tokens by layers."""
    import pandas as pd

    return pd.DataFrame(matrix, trace.labels.positions().index(), pd.Index(layers, name="after"))
