"""Where a mistake may happen: predicates on a step and its list; and the inputs that a step takes by mistake.

None of them asks a stage's name. What they belong to, and what it is called, stands in `mistakes`.
"""

from __future__ import annotations

from collections.abc import Callable

from sheetgpt import ops
from sheetgpt.models.step import Axis, Part, Step, Steps

Applies = Callable[[Step, Steps], bool]
OtherInputs = Callable[[Step, Steps], tuple[str, ...] | None]


def everywhere(_step: Step, _steps: Steps) -> bool:
    return True


def its_own(step: Step, _steps: Steps) -> tuple[str, ...]:
    return step.inputs


# ------------------------------------------------------------------------------------------------ to which steps


def in_part(part: Part) -> Applies:
    return lambda step, _steps: step.part is part


def cut_in_columns(step: Step, steps: Steps) -> bool:
    """Are slices of its columns stages of their own, as queries, keys and values are?"""
    return any(isinstance(reader.op, ops.Columns) for reader in steps.readers(step.name))


def by_token(step: Step, _steps: Steps) -> bool:
    """Has it a row a token?"""
    return step.rows is Axis.TOKENS


def numbered(number: int) -> Applies:
    """A block's step of that number."""
    return lambda step, _steps: step.number == number


def only(one: Step) -> Applies:
    return lambda step, _steps: step == one


# ------------------------------------------------------------------------------------------------ other inputs


def residual_from(number: int) -> OtherInputs:
    """The residual's other end: another step of the same block."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        others = [one.name for one in steps if one.block == step.block and one.number == number]
        return (step.inputs[0], others[0]) if others else None

    return inputs


def from_number(number: int) -> OtherInputs:
    """Its first input: another step of the same block."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        others = [one.name for one in steps if one.block == step.block and one.number == number]
        return (others[0], *step.inputs[1:]) if others and others[0] != step.inputs[0] else None

    return inputs


def of_block(block: int) -> OtherInputs:
    """The last input, a stage before the residual: that of a block before."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        before = steps.by_name.get(step.inputs[-1])
        if before is None or before.number is None or before.block is None or before.block <= block:
            return None
        return (*step.inputs[:-1], steps.in_block(block, before.number).name)

    return inputs


def after_block(block: int) -> OtherInputs:
    """The output of a block further up, where a block takes that of the one before; block -1: the embeddings."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        starts = [one for one in steps if one.part is Part.BLOCK and isinstance(one.op, ops.Copy)]
        outputs = [one.inputs[0] for one in starts]
        return (outputs[block + 1],) if step in starts[block + 2 :] else None

    return inputs


def weights_of_block(block: int) -> OtherInputs:
    """Its weights, those of another block."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        if step.block in (None, block):
            return None
        other = next((one for one in steps if one.block == block and alike(one, step)), None)
        if other is None:
            return None
        pairs = zip(step.inputs, other.inputs, strict=True)
        return tuple(mine if mine in steps.by_name else theirs for mine, theirs in pairs)

    return inputs


def swapped_weights(one: int, other: int) -> OtherInputs:
    """In each of two blocks the other's weights."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        there = {one: other, other: one}.get(-1 if step.block is None else step.block)
        return None if there is None else weights_of_block(there)(step, steps)

    return inputs


def weights_of_norm(which: int) -> OtherInputs:
    """The gain and bias of another of the model's layer norms, counted among those of its block and the head."""

    def inputs(step: Step, steps: Steps) -> tuple[str, ...] | None:
        norms = [one for one in steps if isinstance(one.op, ops.ScaleShift) and one.block in (step.block, None)]
        others = [one for one in norms if one != step]
        return (step.inputs[0], *others[which].inputs[1:]) if which < len(others) else None

    return inputs


def with_norm(step: Step, steps: Steps) -> tuple[str, ...] | None:
    """The residual's inputs and the gain and bias of the layer norm that comes before it in the block."""
    norms = [one for one in steps if isinstance(one.op, ops.ScaleShift) and one.block == step.block]
    before = [one for one in norms if (one.number or 0) < (step.number or 0)]
    return (*step.inputs, *before[-1].inputs[1:]) if before else None


def alike(one: Step, other: Step) -> bool:
    """Are they the same step of two blocks?"""
    return (one.number, one.title) == (other.number, other.title)


def keys_queries(step: Step, _steps: Steps) -> tuple[str, ...]:
    queries, keys, mask = step.inputs
    return keys, queries, mask


def unnormalised(step: Step, steps: Steps) -> tuple[str, ...] | None:
    """The last row itself where the language head takes what is made of it."""
    rows, (*table, _) = last_row(steps), step.inputs
    inputs = (*table, rows.name) if rows else step.inputs
    return None if inputs == step.inputs else inputs


def hidden_state(_step: Step, steps: Steps) -> tuple[str, ...] | None:
    rows = last_row(steps)
    return (rows.name,) if rows else None


def last_row(steps: Steps) -> Step | None:
    """The step that takes the last token's row of the last block's output."""
    return next((step for step in steps if isinstance(step.op, ops.LastRow)), None)


def before_norm(step: Step, steps: Steps) -> tuple[str, ...] | None:
    """What the layer norm takes, in place of what it makes."""
    normal = steps.by_name.get(step.inputs[0])
    return (normal.inputs[0], *step.inputs[1:]) if normal is not None and isinstance(normal.op, ops.Normalize) else None


def in_mlp(step: Step, steps: Steps) -> bool:
    """Is it a step that the block's MLP begins with?"""
    readers = [one.op for one in steps.readers(step.name)]
    return step.number == 11 or any(isinstance(op, ops.Gelu) for op in readers)
