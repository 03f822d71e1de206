"""Axes by name: a matrix under one text of axes becomes an array under another, such as "T (H s)" -> "1 H T s".

A text names each axis in order; axes in brackets are laid side by side in one. What the letters count:
T tokens, K tokens looked at (as many as T), d n_embd, H heads, s head size, V n_vocab; `last` is the last token
alone, where T would be all of them. Which stage has which axes is `conventions`' business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

import numpy as np

LETTERS = {
    "T": "tokens of the prompt",
    "K": "tokens that are looked at, as many as T",
    "d": "n_embd",
    "H": "n_head",
    "s": "head size, n_embd / n_head",
    "V": "n_vocab",
    "last": "the last token alone",
}
SIDE_BY_SIDE = {"(H s)": "d", "(H K)": "H*T", "(H T)": "H*T"}  # how a person writes them
Axes = tuple[tuple[str, ...], ...]


def parse(text: str) -> Axes:
    """Each axis as the tuple of what it counts.

    >>> parse("1 T (H s)")
    (('1',), ('T',), ('H', 's'))
    """
    return tuple(tuple(axis.strip("()").split()) for axis in re.findall(r"\([^)]*\)|\S+", text))


def shape_text(text: str) -> str:
    """Axes as a shape is written.

    >>> shape_text("1 T (H s)"), shape_text("last d"), shape_text("1 H T K")
    ('[1, T, d]', '[1, d]', '[1, H, T, T]')
    """
    axes = [SIDE_BY_SIDE.get(axis, axis) for axis in re.findall(r"\([^)]*\)|\S+", text)]
    return "[{}]".format(", ".join({"last": "1", "K": "T"}.get(axis, axis) for axis in axes))


def rearrange(array: np.ndarray, source: str, target: str, n_head: int | None = None) -> np.ndarray | None:
    """The array, whose axes are `source`, with the axes `target`; None where its shape does not fit them.

    A leading axis of 1 may be lacking; where the target has `last` for a T, the last token's part is taken.
    n_head: only needed where the shape doesn't tell how the heads lie side by side.

    >>> rearrange(np.arange(12).reshape(2, 6), "T (H s)", "1 H T s", n_head=2)[0, 1]
    array([[ 3,  4,  5],
           [ 9, 10, 11]])
    """
    before, after = _opaque(parse(source), parse(target))
    if array.ndim == len(before) - 1 and before[0] == ("1",):
        array = array[None]
    sizes = _sizes(array.shape, before, n_head)
    if sizes is None:
        return None
    names = [name for axis in before for name in axis if name != "1"]
    apart = array.reshape([sizes[name] for name in names])
    wanted = [name for axis in after for name in axis if name != "1"]
    if "last" in wanted and "last" not in names:
        at = names.index("T")
        apart = apart.take([-1], axis=at)
        names[at], sizes["last"] = "last", 1
    if sorted(names) != sorted(wanted):
        return None
    ordered = apart.transpose([names.index(name) for name in wanted])
    return ordered.reshape([prod(1 if name == "1" else sizes[name] for name in axis) for axis in after])


def _opaque(before: Axes, after: Axes) -> tuple[Axes, Axes]:
    """Axes side by side in the same way before and after need not be told apart."""
    same = {axis for axis in before if len(axis) > 1 and axis in after}
    return tuple(
        tuple((" ".join(axis),) if axis in same else axis for axis in axes)  # one axis with a name of its own
        for axes in (before, after)
    )


def _sizes(shape: Sequence[int], axes: Axes, n_head: int | None) -> dict[str, int] | None:
    """How many there are of each name, told from a shape; None where it doesn't fit, or leaves one open."""
    if len(shape) != len(axes):
        return None
    sizes = {"1": 1, "last": 1} | ({"H": n_head} if n_head else {})
    for axis, size in sorted(zip(axes, shape, strict=True), key=lambda pair: len(pair[0])):
        unknown = [name for name in axis if name not in sizes]
        known = prod(sizes[name] for name in axis if name in sizes)
        if len(unknown) > 1 or (not unknown and known != size) or known == 0 or size % known:
            return None
        if unknown:
            sizes[unknown[0]] = size // known
            if unknown[0] in ("T", "K"):
                sizes["T"] = sizes["K"] = size // known
    return sizes
