"""What sides don't say and can be seen: the sizes of the run that they show, and the rounding of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.grain import FINE, Grain, Kind, grain_of, telling
from sheetgpt.diff.sides.side import Side, readable
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import weights_of
from sheetgpt.models.sizes import Shape, Sizes, count_tokens, infer_config
from sheetgpt.models.step import Part, Step

STAGES = 4  # that are looked at to see how a side's numbers are rounded


def sizes_of(sides: Sequence[Side], config: Config | None = None, *, untied: bool = False) -> Sizes:
    """The sizes of the run that these sides show; `config` where the weights are known."""
    shapes = shapes_of(sides)
    tokens = next((side.tokens for side in sides if side.tokens), ())
    n_tokens = len(tokens) or count_tokens(shapes)
    config = config or next(filter(None, (side.config for side in sides)), None) or infer_config(shapes, n_tokens)
    untied = untied or any(side.has(name) for side in sides for name in own_head(config))
    return Sizes(config, n_tokens or 1, tokens, untied)


def shapes_of(sides: Sequence[Side]) -> dict[str, Shape]:
    """The shapes of matrices that show the run's sizes, the first side's first; of all, where none does."""
    held = [(side, name) for side in reversed(sides) for name in side.names if not side.is_text(name)]
    shapes: dict[str, Shape] = {}
    for side, name in [(side, name) for side, name in held if readable(side.shows_sizes, name)] or held:
        shape = readable(side.shape, name)
        if shape and (shape[0] != 1 or shapes.get(name, shape)[0] == 1):  # a single row may be all rows, laid flat
            shapes[name] = shape
    return shapes


def own_head(config: Config) -> set[str]:
    """The weights that a model has only where its language head is not tied to the token embeddings."""
    return weights_of(config, untied=True).keys() - weights_of(config)


def grain_of_side(side: Side, sizes: Sizes) -> Grain:
    """The rounding of its numbers: what its first computed stages look like, else what the side says of itself."""
    said = side.about.get("dtype")
    seen = narrow_grain(side, sizes) or seen_grain(side, sizes)
    return Grain(Kind(said)) if seen == FINE and said in set(Kind) else seen


def seen_grain(side: Side, sizes: Sizes) -> Grain:
    computed = (step.name for step in sizes.steps if step.name in side.names and is_computed(step))
    held = filter(None, (readable(side.read, name) for name in computed))
    seen = [telling(one.numbers) for one in islice(held, STAGES)]
    return grain_of(np.concatenate(seen)) if seen else FINE


def narrow_grain(side: Side, sizes: Sizes) -> Grain | None:
    """The coarsest type below float32 in which a side holds a computed stage; the others are made from it."""
    types = {side.dtype_of(step.name) for step in sizes.steps if step.name in side.names and is_computed(step)}
    return next((Grain(kind) for kind in (Kind.BFLOAT16, Kind.FLOAT16) if kind in types), None)


def is_computed(step: Step) -> bool:
    """Do its numbers show the run's precision? Embeddings may be float32 in any run, and so may their copies."""
    early = step.part in (Part.WORDS, Part.EMBEDDINGS)
    return not (early or step.is_text or step.op.masked or isinstance(step.op, ops.Copy))
