"""The sizes of one run: from the constants and the number of tokens every stage's shape, labels and possible layouts.

Also the other way round: constants inferred from the names and shapes of stages, where a foreign dump has nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.models import heads, kinds
from sheetgpt.models.config import REFERENCE_HEAD_SIZE, Config
from sheetgpt.models.step import POSITIONS, Axis, Role, Step, Steps, Weight

Shape = tuple[int, int]
WIDE = (Axis.DIMENSIONS, Axis.HEADS_BY_DIMENSIONS)


@dataclass(frozen=True)
class Sizes:
    """The constants of a run, its number of tokens and, where known, the tokens."""

    config: Config
    n_tokens: int
    tokens: Sequence[str] = ()
    untied: bool = False

    @cached_property
    def steps(self) -> Steps:
        """Every stage, in the order of the data."""
        return kinds.model_steps(self.config, untied=self.untied)

    @cached_property
    def weights(self) -> Mapping[str, Weight]:
        """What each weight matrix is, by name."""
        return kinds.weights_of(self.config, untied=self.untied)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every weight and every stage that is a matrix, by name."""
        found: dict[str, tuple[int, ...]] = {name: weight.shape for name, weight in self.weights.items()}
        given: dict[str, tuple[int, ...]] = {
            self.steps.name(Role.TOKENS): (self.n_tokens,),
            POSITIONS: (self.n_tokens,),
        }
        for step in self.steps.computed:
            found[step.name] = step.op.shape(*((given.get(name) or found[name]) for name in step.inputs))
        return {name: (shape[0], shape[1]) for name, shape in found.items() if not self.is_text(name)}

    def step(self, name: str) -> Step | None:
        """The stage of that name; None for a weight and for what is unknown."""
        return self.steps.by_name.get(name)

    def is_text(self, name: str) -> bool:
        """Is it a stage of words, merges, tokens, or the predicted token?"""
        step = self.step(name)
        return step is not None and step.is_text

    def is_masked(self, name: str) -> bool:
        """May cells of this stage be masked?"""
        step = self.step(name)
        return step is not None and step.op.masked

    def row_label(self, name: str, row: int) -> str:
        step = self.step(name)
        rows = step.rows if step else None
        if rows in (Axis.TOKENS, Axis.LAST_TOKEN):
            position = self.n_tokens - 1 if rows is Axis.LAST_TOKEN else row
            return f"position {position}{self._token(position)}"
        return f"token id {row}" if rows is Axis.VOCABULARY else f"row {row}"

    def column_label(self, name: str, column: int) -> str:
        step = self.step(name)
        columns = step.columns if step else None
        if columns is Axis.HEADS_BY_KEYS:
            head, key = divmod(column, self.n_tokens)
            return f"head {head}, key {key}{self._token(key)}"
        if columns is Axis.KEYS:
            return f"key {column}{self._token(column)}"
        if columns is Axis.LOGIT:
            return "logit"
        if columns is Axis.HEADS_BY_DIMENSIONS:
            return f"head {column // self.config.head_size}, dimension {column}"
        return f"dimension {column}" if step else f"column {column}"

    def _token(self, position: int) -> str:
        return f' "{self.tokens[position]}"' if position < len(self.tokens) else ""

    # -------------------------------------------------------------------------------------------- layouts

    def forms(self, name: str) -> dict[Shape, Callable[[np.ndarray], np.ndarray]]:
        """The shapes in which others may hold a stage, and for each what turns it into ours; ours comes first."""
        rows, columns = shape = self.shapes[name]
        forms: dict[Shape, Callable[[np.ndarray], np.ndarray]] = {shape: unchanged}
        step = self.step(name)
        if step is not None and step.by_head:
            forms = {**heads.readings(self.config.n_head, self.n_tokens, self.config.head_size), **forms}
        if 1 in shape:
            forms.setdefault((columns, rows), np.transpose)
        return forms

    def fitted(self, name: str, array: np.ndarray) -> np.ndarray | None:
        """An array in our layout of a stage; None where its shape fits none of the layouts."""
        form = self.forms(name).get((array.shape[0], array.shape[1])) if array.ndim == 2 else None
        return None if form is None else form(array)


def unchanged(x: np.ndarray) -> np.ndarray:
    return x


def require_override(name: str, shape: tuple[int, ...], expected: Shape) -> None:
    """Raises StageError where a matrix can't stand for a stage or weight."""
    if tuple(shape) != tuple(expected):
        given = " x ".join(map(str, shape)) or "a single number"
        raise StageError(
            f"{name} is {expected[0]} x {expected[1]}, and what should replace it is {given}", remedy="give that shape"
        )


# ------------------------------------------------------------------------------------------------ inferred


def config_of(constants: Mapping[str, object]) -> Config | None:
    """The constants that a manifest holds; None where one is missing."""
    known = {field.name for field in fields(Config)}
    try:
        return Config(**{name: value for name, value in constants.items() if name in known})  # type: ignore[arg-type]
    except TypeError:
        return None


def count_tokens(shapes: Mapping[str, Shape]) -> int:
    """The number of tokens, from any stage that has a row a token; 0 where there is none."""
    known = kinds.known_names(shapes)
    by_token = (known.stages.get(name) for name in shapes)
    rows = [
        shape[0]
        for shape, step in zip(shapes.values(), by_token, strict=True)
        if step is not None and step.rows is Axis.TOKENS and not step.by_head  # heads may stand under each other
    ]
    return max(set(rows), key=rows.count, default=0)


def infer_config(shapes: Mapping[str, Shape], n_tokens: int) -> Config:
    """A model's constants from names and shapes alone; the head size is the reference's where none tells it."""
    model, position = kinds.likeliest(shapes)
    n_layer = kinds.known_names(shapes).count_blocks(shapes)
    trial = Sizes(Config(n_layer, 1, 2, 1, 1, position, model), 1)  # tells how many times n_embd a stage is wide
    widths, n_head, n_vocab = [], 0, 1
    for name, shape in shapes.items():
        step, weight = trial.step(name), trial.weights.get(name)
        if step is not None and step.by_head:
            n_head = n_head or (shape[1] // n_tokens if n_tokens and shape[1] % n_tokens == 0 else 0)
        elif step is not None and step.columns in WIDE and name in trial.shapes:
            wide = max(shape) if step.rows is Axis.LAST_TOKEN else shape[1]
            widths.append(wide * trial.config.n_embd // trial.shapes[name][1])
        rows = step.rows if step is not None else weight.rows if weight is not None else None
        if rows is Axis.VOCABULARY:
            n_vocab = max(shape) if step is not None else max(n_vocab, shape[0])
        if weight is not None and weight.rows is Axis.VOCABULARY:
            widths.append(shape[1] * trial.config.n_embd // trial.shapes[name][1])
    n_embd = max(set(widths), key=widths.count, default=REFERENCE_HEAD_SIZE)
    if not n_head or n_embd % n_head or n_head * n_tokens == n_embd:
        n_head = max(1, n_embd // REFERENCE_HEAD_SIZE) if n_embd % REFERENCE_HEAD_SIZE == 0 else 1
    if position == "rotary" and n_embd // n_head % 2:  # they turn pairs
        position = "learned"
    config = Config(n_layer, n_head, n_embd, 1, n_vocab, position, model)
    return replace(config, n_ctx=infer_context(shapes, config) or max(n_tokens, 1))


def infer_context(shapes: Mapping[str, Shape], config: Config) -> int | None:
    """The n_ctx that makes some stage or weight as large as it is; None where nothing grows with n_ctx."""
    one, two = (Sizes(replace(config, n_ctx=n_ctx), 1).shapes for n_ctx in (1, 2))
    for name, shape in shapes.items():
        for axis, size in enumerate(shape):
            growth = two[name][axis] - one[name][axis] if name in one else 0
            if growth:
                return max(1, 1 + (size - one[name][axis]) // growth)
    return None
