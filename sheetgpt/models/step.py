"""What a list of steps is made of: a step that says what its stage is, and the weights that steps take.

Readers ask a step (its axes, part, role, operation), never its name. Lists themselves stand in `gpt2`, `ladder` and so
on, one file a model; running a list belongs in `run`, sizes in `sizes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, overload

import numpy as np

from sheetgpt import ops

__all__ = ["POSITIONS", "TARGETS", "Axis", "Part", "Role", "Step", "Steps", "Use", "Weight"]

POSITIONS = "positions"  #: an input of every run: where each token stands, [T]
TARGETS = "targets"  #: an input of training: the token that comes after each position, [..., T]
ANY_BLOCK = "*"


class Axis(Enum):
    """What an axis of a matrix counts."""

    TOKENS = "tokens"
    LAST_TOKEN = "last token"  # noqa: S105 - no password
    VOCABULARY = "vocabulary"
    POSITIONS = "positions"  # all that the model can tell apart, n_ctx
    DIMENSIONS = "dimensions"
    HEADS_BY_DIMENSIONS = "heads x dimensions"
    KEYS = "keys"
    HEADS_BY_KEYS = "heads x keys"
    LOGIT = "logit"  # a single column
    PENALTY = "penalty"  # a single row
    TEXT = "text"  # a table of texts, laid out as the reference does


class Part(Enum):
    """The part of the model that a stage or a weight belongs to."""

    WORDS = "words"
    EMBEDDINGS = "embeddings"
    BLOCK = "block"
    HEAD = "head"
    LOGITS = "logits"
    LOSS = "loss"


class Role(Enum):
    """What a stage is for those who give a run its input and take its answer."""

    WORDS = "the prompt's words"
    MERGES = "the merges, pass by pass"
    TOKENS = "the tokens and their ids"
    LOGITS = "a score for every token"
    PREDICTION = "the predicted token"
    PENALTIES = "the penalty of every prediction"


GIVEN = (Role.WORDS, Role.MERGES, Role.TOKENS)  # made by `bpe`, not computed from matrices


@dataclass(frozen=True)
class Step:
    """One stage of the pipeline: how it is made, and all that a reader may ask of it."""

    name: str  #: the reference's name of the stage, the key everywhere
    title: str  #: the same in plain words
    op: ops.Op  #: how it is computed
    inputs: tuple[str, ...]  #: the stages and weights that it is computed from, by name
    words: str  #: the formula as a person would say it
    why: str = ""  #: in one sentence, what that is good for
    rows: Axis = Axis.TOKENS  #: what its rows count
    columns: Axis = Axis.DIMENSIONS  #: what its columns count
    part: Part = Part.HEAD  #: the part of the model that it belongs to
    block: int | None = None  #: the block's number, from 0; None outside of blocks
    number: int | None = None  #: in its block, as the reference counts
    role: Role | None = None  #: what it is for those who give a run its input and take its answer

    @property
    def is_text(self) -> bool:
        """Is it a table of texts, and no matrix?"""
        return self.rows is Axis.TEXT

    @property
    def is_given(self) -> bool:
        """Is it made by the tokenizer, not computed from matrices?"""
        return self.role in GIVEN

    @property
    def by_head(self) -> bool:
        """Do its columns hold a slice of keys for each head?"""
        return self.columns is Axis.HEADS_BY_KEYS

    @property
    def is_divided(self) -> bool:
        """Do its columns hold a slice of any kind for each head?"""
        return self.by_head or self.columns is Axis.HEADS_BY_DIMENSIONS

    @property
    def in_any_block(self) -> str:
        """Its name with `*` for the block's number.

        >>> Step("block_11_step_2", "", ops.Copy(), (), "", block=11).in_any_block
        'block_*_step_2'
        """
        return self.name if self.block is None else self.name.replace(str(self.block), ANY_BLOCK, 1)

    def name_in(self, block: int) -> str:
        """Its name in another block."""
        return self.in_any_block.replace(ANY_BLOCK, str(block), 1)

    @property
    def without_block(self) -> str:
        """Its name on the reference's page, which calls the stages of all blocks alike.

        >>> Step("block_11_step_2", "", ops.Copy(), (), "", block=11).without_block
        'block_step_2'
        """
        return self.in_any_block.replace(f"_{ANY_BLOCK}", "", 1)

    @property
    def within_block(self) -> str:
        """Its name where it is said which block is meant.

        >>> Step("block_11_step_2", "", ops.Copy(), (), "", block=11).within_block
        'step_2'
        """
        return self.in_any_block.rpartition(f"{ANY_BLOCK}_")[2]

    @property
    def short_title(self) -> str:
        """What it does, where the part of the block that it belongs to is seen.

        >>> Step("block_11_step_2", "layer norm 1: normalise", ops.Copy(), (), "").short_title
        'normalise'
        """
        return self.title.rpartition(": ")[2]


class Steps(Sequence[Step]):
    """A model's steps in the order of the data, found by place or by name; iterating gives the steps."""

    def __init__(self, steps: Iterable[Step]):
        self._steps = tuple(steps)

    @overload
    def __getitem__(self, key: int | str) -> Step: ...
    @overload
    def __getitem__(self, key: slice) -> Steps: ...
    def __getitem__(self, key: int | str | slice) -> Step | Steps:
        if isinstance(key, slice):
            return Steps(self._steps[key])
        return self.by_name[key] if isinstance(key, str) else self._steps[key]

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    def __contains__(self, key: object) -> bool:
        return key in self.by_name if isinstance(key, str) else key in self._steps

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """The steps by their names."""
        return {step.name: step for step in self._steps}

    @cached_property
    def computed(self) -> Steps:
        """Those that are computed from matrices: all but words, merges and tokens."""
        return Steps(step for step in self._steps if not step.is_given)

    @cached_property
    def _by_role(self) -> Mapping[Role, Step]:
        return {step.role: step for step in self._steps if step.role}

    def has(self, role: Role) -> bool:
        """Has the list a step of this role?"""
        return role in self._by_role

    def of(self, role: Role) -> Step:
        """The step of a role. Raises KeyError where the list has none."""
        return self._by_role[role]

    def name(self, role: Role) -> str:
        """The name of the step of a role. Raises KeyError where the list has none."""
        return self._by_role[role].name

    def in_block(self, block: int | None, number: int) -> Step:
        """The first step of that number in a block. Raises KeyError where there is none."""
        for step in self._steps:
            if step.block == block and step.number == number:
                return step
        raise KeyError(f"block {block}, step {number}")

    def readers(self, name: str) -> Iterator[Step]:
        """The steps that take this stage or weight."""
        return (step for step in self._steps if name in step.inputs)

    def inputs(
        self, ids: Any, positions: np.ndarray | None = None, targets: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """What a run is given, by name: token ids [..., T], positions [T] (0, 1, ... unless given), and targets [...,
        T].
        """
        ids = np.asarray(ids)
        places = np.arange(ids.shape[-1]) if positions is None else positions
        given = {self.name(Role.TOKENS): ids, POSITIONS: places}
        return given if targets is None else {**given, TARGETS: targets}


# ------------------------------------------------------------------------------------------------ weights


class Use(Enum):
    """How a weight enters its operation."""

    TABLE = "a row for each token or position"
    LINEAR = "x @ w"  # [in, out]; PyTorch's Linear stores [out, in]
    BIAS = "added"
    GAIN = "times"
    SCORES = "scores by themselves"


@dataclass(frozen=True)
class Weight:
    """What a weight matrix is: its shape, what its rows count, how it enters, and where it belongs."""

    shape: tuple[int, int]  #: (rows, columns)
    use: Use  #: how it enters its operation
    rows: Axis | None = None  #: what its rows count, where that is tokens or positions
    part: Part = Part.HEAD  #: the part of the model that it belongs to
    block: int | None = None  #: the block's number, from 0; None outside of blocks
    to_residual: bool = False  #: does it write to the residual stream? Then it is drawn smaller

    @property
    def is_vector(self) -> bool:
        """One row, a vector elsewhere; weight decay leaves it alone."""
        return self.use in (Use.BIAS, Use.GAIN)
