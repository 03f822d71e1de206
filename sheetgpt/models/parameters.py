"""How many numbers training has to find, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sheetgpt.models.step import Weight

__all__ = ["Count", "count_parameters"]


@dataclass(frozen=True)
class Count:
    """The parameters of one part of a model, and the product or sum that gives them."""

    part: str  #: a weight's name, or so many blocks
    how: str  #: the product or sum, as text
    count: int  #: the number of parameters


def size(weight: Weight) -> int:
    return weight.shape[0] * weight.shape[1]


def shape_text(weight: Weight) -> str:
    return f"{weight.shape[0]:,} x {weight.shape[1]:,}"


def count_parameters(weights: Mapping[str, Weight]) -> list[Count]:
    """A line for each weight outside the blocks and one for all blocks, in order.

    >>> from sheetgpt.models.step import Use
    >>> h = {f"h{i}": Weight((2, 3), Use.LINEAR, block=i) for i in range(2)}
    >>> count_parameters({"wte": Weight((1000, 2), Use.TABLE), **h})
    [Count(part='wte', how='1,000 x 2', count=2000), Count(part='2 blocks', how='2 x 6', count=12)]
    """
    found: list[Count] = []
    blocks: dict[int, int] = {}
    for name, weight in weights.items():
        if weight.block is None:
            found.append(Count(name, shape_text(weight), size(weight)))
        else:
            if not blocks:
                place = len(found)
            blocks[weight.block] = blocks.get(weight.block, 0) + size(weight)
    if blocks:
        each = {*blocks.values()}
        how = f"{len(blocks)} x {each.pop():,}" if len(each) == 1 else " + ".join(f"{one:,}" for one in blocks.values())
        part = f"{len(blocks)} block{'s' if len(blocks) > 1 else ''}"
        found.insert(place, Count(part, how, sum(blocks.values())))
    return found
