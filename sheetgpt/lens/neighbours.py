"""Which tokens' vectors point the same way: nearest tokens by cosine, and all of them in a plane.

The vectors are the rows of the model's token table. Which token is meant belongs in `tokens`, sheets in
`sheets.neighbours`, pictures in `scatter`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sheetgpt.bpe import Tokenizer
from sheetgpt.errors import PromptError, SheetGPTError
from sheetgpt.lens.tokens import alike, id_in
from sheetgpt.model import Model
from sheetgpt.models.step import Axis, Use, Weight

__all__ = ["Neighbour", "Plane", "cosines", "find_token", "nearest", "neighbours", "plane", "token_table"]

MOST_MAPPED = 2000  # tokens in a map; of a larger vocabulary only the tokens asked for and their neighbours
ROWS_AT_ONCE = 512  # of a token table: of GPT-2, what a processor keeps at hand


@dataclass(frozen=True)
class Neighbour:
    """A token near another one."""

    rank: int  #: 1 is the nearest
    id: int  #: the token's id
    token: str  #: as the token table spells it
    cosine: float  #: 1 the same way, 0 across, -1 the other way


@dataclass(frozen=True)
class Plane:
    """Vectors in two dimensions, those in which they differ most (principal components)."""

    points: np.ndarray  #: [n, 2]
    shares: tuple[float, float]  #: of the vectors' variance, that each dimension holds


def table_name(weights: Mapping[str, Weight]) -> str | None:
    """The weight that holds a vector for each token; None where a model has none."""
    found = (name for name, one in weights.items() if one.rows is Axis.VOCABULARY and one.use is Use.TABLE)
    return next((name for name in found if weights[name].shape[1] > 1), None)


def token_table(model: Model) -> np.ndarray:  # [n_vocab, d]
    """The vectors of all tokens, [n_vocab, d]. Raises SheetGPTError where the model has none."""
    from sheetgpt.models.kinds import weights_of

    name = table_name(weights_of(model.config, untied=model.weights.untied))
    if name is None:
        what = f"a {model.config.model} has no vectors for tokens"
        raise SheetGPTError(what, remedy="name a model with embeddings, such as gpt2")
    return model.weights[name]


# ------------------------------------------------------------------------------------------------ which token


def find_token(tokenizer: Tokenizer, text: str) -> int:
    """The id of a token that is typed. Raises PromptError, with the nearest spellings, where there is none."""
    found = id_in(tokenizer.tokens, tokenizer, text)
    if found is not None:
        return found
    near = alike(tokenizer.tokens, text)
    remedy = f"there is {', '.join(map(repr, near))}" if near else "`sheetgpt tokenize` shows how it is cut"
    if f" {text}" in near:
        remedy = f"put a space before it: {f' {text}'!r}"
    raise PromptError(f"{text!r} is no token of this model", remedy=remedy)


# ------------------------------------------------------------------------------------------------ near


def cosines(table: np.ndarray, i: int) -> np.ndarray:  # [n, d] -> [n]
    """How much each row of a table [n, d] points where row i points, [n]: 1 the same way, 0 across, -1 the other way; 0
    of a row of zeros.
    """
    return np.concatenate([found[0] for _, found in cosines_by_part(table, [i])])


def cosines_by_part(table: np.ndarray, ids: Sequence[int]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The cosines with each of these rows, for some rows of the table after others: (the first of them, [n] an id).

    subtle: a product for each row, not one for all: so the last bit doesn't depend on what else is asked for.
    """
    targets = np.asarray(table[list(ids)], np.float64)
    for start in range(0, len(table), ROWS_AT_ONCE):
        rows = np.asarray(table[start : start + ROWS_AT_ONCE], np.float64)
        squares = np.einsum("ij,ij->i", rows, rows)
        yield start, [between(rows @ target, np.sqrt(squares * (target @ target))) for target in targets]


def between(products: np.ndarray, lengths: np.ndarray) -> np.ndarray:  # two of [n] -> [n]
    return np.asarray(np.clip(np.divide(products, lengths, where=lengths > 0, out=np.zeros(len(lengths))), -1, 1))


def nearest_of(table: np.ndarray, ids: Sequence[int], count: int) -> dict[int, list[tuple[int, float]]]:
    """By id: (id, cosine) of the rows nearest to that row, itself left out; of equals, the smaller id first.

    The table is read once for all.
    """
    best = {i: (np.zeros(0, int), np.zeros(0)) for i in ids}
    for start, parts in cosines_by_part(table, list(best)):
        for (i, (others, kept)), found in zip(best.items(), parts, strict=True):
            rows = largest(found, count + 1)
            rows = rows[rows + start != i]
            joined, values = np.concatenate([others, rows + start]), np.concatenate([kept, found[rows]])
            order = np.lexsort((joined, -values))[:count]
            best[i] = joined[order], values[order]
    return {i: list(zip(others.tolist(), kept.tolist(), strict=True)) for i, (others, kept) in best.items()}


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the `count` largest, in order of place; all that equal the last of them, too."""
    if count >= len(values):
        return np.arange(len(values))
    return np.flatnonzero(values >= np.partition(values, -count)[-count])


def nearest(table: np.ndarray, i: int, count: int) -> list[tuple[int, float]]:
    """(id, cosine) of the rows of a table [n, d] nearest to row i, itself left out; of equals, the smaller id first."""
    return nearest_of(table, [i], count)[i]


def neighbours(table: np.ndarray, vocabulary: Sequence[str], i: int, count: int = 10) -> list[Neighbour]:
    """The nearest tokens of token i, by the rows of a token table [n_vocab, d]."""
    found = enumerate(nearest(table, i, count), start=1)
    return [Neighbour(rank, one, vocabulary[one], cosine) for rank, (one, cosine) in found]


def on_map(n_vocab: int, near: Mapping[int, Sequence[int]]) -> list[int]:
    """The tokens of a map: those asked for, their neighbours, and all others where the vocabulary is small."""
    found = [*near, *(other for others in near.values() for other in others)]
    return list(dict.fromkeys([*found, *(range(n_vocab) if n_vocab <= MOST_MAPPED else ())]))


def plane(vectors: np.ndarray) -> Plane:  # [n, d]
    """The vectors [n, d] seen from where they differ most, by their two principal components.

    Each dimension points where its largest part is positive, so that the same vectors give the same picture.
    subtle: by one thread, as those that wait for parts of so small a decomposition cost more than it does.
    """
    from threadpoolctl import threadpool_limits

    centred = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    with threadpool_limits(1, "blas"):
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    two = np.zeros((2, centred.shape[1]))
    two[: len(directions[:2])] = directions[:2]
    two *= np.where(np.take_along_axis(two, np.abs(two).argmax(1)[:, None], 1) < 0, -1, 1)
    variances = np.pad(sizes**2, (0, 2))
    total = variances.sum()
    first, second = (float(one / total) if total else 0.0 for one in variances[:2])
    return Plane(centred @ two.T, (first, second))
