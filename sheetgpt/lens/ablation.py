"""Ablation: each head, each MLP, each block out in turn, and what becomes of a logit, a probability, the prediction.

A head is out where its slice of the attended values is 0 (or its mean over a corpus), an MLP where what it adds is, a
block where its output is its input. What follows is computed anew; direct effects alone belong in `attribution`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.errors import LensError
from sheetgpt.lens.changes import logits_after
from sheetgpt.lens.means import Means
from sheetgpt.lens.stream import MLP, Stream, Write, stream_of
from sheetgpt.lens.tables import Look, Report, Table, set_in
from sheetgpt.lens.tokens import Wanted, spelled, token_id
from sheetgpt.models.step import Role
from sheetgpt.run.trace import Trace, probabilities

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1024  # computed at once
BLOCK = "block"
NOTE = (
    "A head is out where its slice of the attended values is {}, an MLP where what it adds is, a block where its "
    "output is its input. Everything after it is computed anew."
)


@dataclass(frozen=True)
class Piece:
    """What can be taken out: the stage that is changed, and which of its columns (all where head is None)."""

    block: int
    place: str  # its column in the tables
    stage: str
    head: int | None = None
    instead: str = ""  # the stage whose matrix takes the place; none: 0 or a mean

    @property
    def name(self) -> str:
        """As `--what` calls it."""
        return f"block_{self.block}" if self.place == BLOCK else f"block_{self.block} {self.place}"


@dataclass(frozen=True)
class Ablation:
    """Blocks by heads, MLP and block: what changes when that piece is out. NaN and None where the model has none."""

    trace: Trace  #: the run as it is
    token: int  #: the token's id
    means: Means | None  #: what takes a head's or an MLP's place; None: 0
    logit: pd.DataFrame  #: [blocks, pieces] the token's logit after less before
    probability: pd.DataFrame  #: [blocks, pieces] its probability after less before
    prediction: pd.DataFrame  #: [blocks, pieces] the predicted token without the piece

    def report(self) -> Report:
        """The tables with their conventions."""
        token, before = spelled(self.trace, self.token), measured(self.trace.role(Role.LOGITS)[None], self.token)
        facts: dict[str, Any] = {"prompt": self.trace.prompt} if self.trace.prompt is not None else {}
        facts |= set_in(self.trace) | {"token": token, "logit": float(before[0][0]), "probability": float(before[1][0])}
        return Report(
            "Ablation",
            {**facts, "prediction": self.trace.predicted_token, "instead": self.instead},
            [
                Table("logit", f'The change of the logit of "{token}"', self.logit, Look.DIVERGING),
                Table("probability", f'The change of the probability of "{token}"', self.probability, Look.DIVERGING),
                Table("prediction", "The predicted token without the piece", self.prediction, Look.TOKENS),
            ],
            (NOTE.format(self.instead),),
        )

    @property
    def instead(self) -> str:
        """What takes the place of a head or an MLP."""
        if self.means is None:
            return "0"
        return f"its mean over {self.means.n_positions:,} positions of {self.means.n_documents:,} documents"


def ablate(
    trace: Trace, token: Wanted | None = None, *, means: Means | None = None, what: str | None = None
) -> Ablation:
    """Each piece out in turn, for the logit and the probability of `token` (default: the predicted one).

    means: what takes a head's or an MLP's place instead of 0, see `corpus_means`. what: one piece alone, such as
    "block_1 head 0", "block_1 MLP", "block_1". What was set in the run stays set. Raises LensError where the model has
    no such piece or token.
    """
    stream = stream_of(trace)
    target = int(trace.role(Role.PREDICTION)[1, 0]) if token is None else token_id(trace, token)
    found = list(pieces_of(stream))
    chosen = found if what is None else [named(found, what)]
    logits = [after(trace, together, means) for together in batches(chosen, len(trace.token_ids))]
    changes = against(trace, np.concatenate(logits), target)
    logit, probability, best = (framed(chosen, values) for values in changes)
    vocabulary = trace.labels.vocabulary()
    prediction = best.map(lambda i: None if np.isnan(i) else vocabulary[int(i)]).astype(object)
    return Ablation(trace, target, means, logit, probability, prediction)


def pieces_of(stream: Stream) -> Iterator[Piece]:
    """Everything that can be taken out, block by block."""
    for block, writes in stream.blocks.items():
        for write in writes:
            yield from parts_of(write)
        yield Piece(block, BLOCK, writes[-1].after.name, instead=writes[0].before.name)


def parts_of(write: Write) -> Iterator[Piece]:
    if write.mix is None:
        yield Piece(write.block, MLP, write.made.name)
    else:
        heads = range(write.mix.op.groups)
        yield from (Piece(write.block, f"head {head}", write.mix.name, head) for head in heads)


def named(pieces: Sequence[Piece], what: str) -> Piece:
    """The piece of that name, whatever its case, with blanks for underscores or not. Raises LensError."""
    from difflib import get_close_matches

    names = {piece.name.lower().replace("_", " "): piece for piece in pieces}
    wanted = " ".join(what.lower().replace("_", " ").split())
    if wanted in names:
        return names[wanted]
    like = [names[one].name for one in get_close_matches(wanted, names, n=3, cutoff=0.4)] or [pieces[0].name]
    raise LensError(f"--what {what!r} is no piece of this model", remedy=f"did you mean {', '.join(like)}?")


def batches(pieces: Sequence[Piece], n_tokens: int) -> Iterator[list[Piece]]:
    """Pieces of one stage together, as many as `ROWS` hold."""
    most = max(1, ROWS // n_tokens)
    by_stage: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        by_stage.setdefault((piece.stage, piece.instead), []).append(piece)
    for found in by_stage.values():
        yield from (found[start : start + most] for start in range(0, len(found), most))


def after(trace: Trace, pieces: Sequence[Piece], means: Means | None) -> np.ndarray:  # [pieces, n_vocab, 1]
    """The logits of the runs without each of these pieces of one stage."""
    return logits_after(trace, pieces[0].stage, np.stack([without(trace, piece, means) for piece in pieces]))


def without(trace: Trace, piece: Piece, means: Means | None) -> np.ndarray:  # [T, d]
    """The piece's stage as it stands when the piece is out."""
    if piece.instead:
        return trace.arrays[piece.instead]
    changed = trace.arrays[piece.stage].copy()
    width = changed.shape[1] // (1 if piece.head is None else trace.steps[piece.stage].op.groups)
    columns = slice((piece.head or 0) * width, ((piece.head or 0) + 1) * width)
    changed[:, columns] = 0 if means is None else means.rows[piece.stage][columns]
    return changed


def against(trace: Trace, logits: np.ndarray, token: int) -> tuple[np.ndarray, ...]:  # three of [pieces]
    """(the logit's change, the probability's, the best ids) against the run as it is."""
    before, now = measured(trace.role(Role.LOGITS)[None], token), measured(logits, token)
    return now[0] - before[0], now[1] - before[1], logits[..., 0].argmax(-1)


def measured(logits: np.ndarray, token: int) -> tuple[np.ndarray, np.ndarray]:  # [B, n_vocab, 1] -> two of [B]
    """The token's logit and probability in each run."""
    scores = logits[..., -1].astype(np.float64)
    return scores[:, token], probabilities(scores)[:, token]


def framed(pieces: Sequence[Piece], values: np.ndarray) -> pd.DataFrame:
    """Blocks by heads, MLP and block."""
    import pandas as pd

    blocks = list(dict.fromkeys(piece.block for piece in pieces))
    columns = list(dict.fromkeys(piece.place for piece in pieces))
    frame = pd.DataFrame(np.nan, pd.Index(blocks, name="block"), pd.Index(columns, name="without"))
    for piece, value in zip(pieces, values, strict=True):
        frame.loc[piece.block, piece.place] = value
    return frame
