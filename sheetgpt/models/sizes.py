"""The sizes of one run: from the constants and the number of tokens every stage's shape, labels and possible layouts.

Also the other way round: constants inferred from the names and shapes of stages, where a foreign dump has nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.models import heads, kinds
from sheetgpt.models.config import REFERENCE_HEAD_SIZE, Config
from sheetgpt.models.step import POSITIONS, Axis, Role, Step, Steps, Weight

__all__ = ["Sizes", "config_of", "count_tokens", "infer_config"]

Shape = tuple[int, int]
Form = Callable[[np.ndarray], np.ndarray]
WIDE = (Axis.DIMENSIONS, Axis.HEADS_BY_DIMENSIONS)


@dataclass(frozen=True)
class Sizes:
    """The constants of a run, its number of tokens and, where known, the tokens."""

    config: Config  #: the model's constants
    n_tokens: int  #: tokens of the run
    tokens: Sequence[str] = ()  #: the tokens themselves, where they are known
    untied: bool = False  #: has the language head a matrix of its own?

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
        """What a row is called: `position 2 " quick"`, `token id 7`."""
        step = self.step(name)
        rows = step.rows if step else None
        if rows in (Axis.TOKENS, Axis.LAST_TOKEN):
            position = self.n_tokens - 1 if rows is Axis.LAST_TOKEN else row
            return f"position {position}{self._token(position)}"
        return f"token id {row}" if rows is Axis.VOCABULARY else f"row {row}"

    def column_label(self, name: str, column: int) -> str:
        """What a column is called: `head 0, key 2 " quick"`, `dimension 5`."""
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

    def forms(self, name: str) -> dict[tuple[int, ...], Form]:
        """The shapes in which others may hold a stage, and for each what turns it into ours; ours comes first."""
        rows, columns = shape = self.shapes[name]
        others = self._heads_apart(name)
        if 1 in shape:
            others.setdefault((columns, rows), np.transpose)
        others |= self._all_rows(name)
        return {shape: unchanged} | {other: form for other, form in others.items() if other != shape}

    def _heads_apart(self, name: str) -> dict[tuple[int, ...], Form]:
        """The layouts of a stage that has a slice of columns for each head."""
        step, n_head, head_size = self.step(name), self.config.n_head, self.config.head_size
        if step is not None and step.by_head:
            apart = heads.arrays_apart(n_head, self.n_tokens, self.n_tokens)
            return {**heads.readings(n_head, self.n_tokens, head_size), **apart}
        if step is not None and step.columns is Axis.HEADS_BY_DIMENSIONS:
            return heads.arrays_apart(n_head, self.n_tokens, head_size)
        return {}

    def _all_rows(self, name: str) -> dict[tuple[int, ...], Form]:
        """The layout of a stage of the last token alone where others compute it after every token."""
        step = self.step(name)
        if step is None or self.n_tokens == 1:
            return {}
        rows, columns = self.shapes[name]
        if step.columns is Axis.LOGIT:
            return {(self.n_tokens, rows): last_row_as_column}
        return {(self.n_tokens, columns): last_row} if step.rows is Axis.LAST_TOKEN else {}

    def rows_taken(self, name: str, shape: Sequence[int]) -> str:
        """Which rows of an array count, where that is not all; empty where it is.

        >>> Sizes(Config(1, 1, 4, 8, 16), n_tokens=6).rows_taken("logits", (1, 6, 16))
        'the last of 6 rows'
        """
        layouts = self._layouts(name, shape) if name in self.shapes else []
        return f"the last of {self.n_tokens} rows" if layouts and layouts[0] in self._all_rows(name) else ""

    def _layouts(self, name: str, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """The shapes among `forms` as which an array of any shape can be read, most likely first.

        Axes of length 1 in front are dropped; a flat array may have any of the shapes that have its size.
        """
        forms, left = self.forms(name), tuple(shape)
        while left not in forms and len(left) > 1 and left[0] == 1:
            left = left[1:]
        return [left] if left in forms else [form for form in forms if (math.prod(form),) == left]

    def layout_of(self, name: str, array: np.ndarray) -> tuple[int, ...] | None:
        """The shape among `forms` as which an array of any shape, such as [1, T, d], is read; None where it fits none.

        Flat heads have their rows in our order, or head after head where only then no token looks ahead.
        """
        layouts, forms, step = self._layouts(name, array.shape), self.forms(name), self.step(name)
        if len(layouts) > 1 and step is not None and step.by_head:
            read = ((layout, forms[layout](array.reshape(layout))) for layout in layouts)
            causal = (layout for layout, matrix in read if heads.looks_causal(matrix, self.config.n_head))
            return next(causal, layouts[0])
        return layouts[0] if layouts else None

    def fitted(self, name: str, array: np.ndarray) -> np.ndarray | None:
        """An array in our layout of a stage, [rows, columns]; None where its shape fits none of the layouts.

        subtle: a matrix must have the shape of one, as its cells are looked for there; others are read freely.
        """
        forms = self.forms(name)
        if array.ndim == 2:
            return forms[array.shape](array) if array.shape in forms else None
        layout = self.layout_of(name, array)
        return None if layout is None else forms[layout](array.reshape(layout))


def unchanged(x: np.ndarray) -> np.ndarray:
    return x


def last_row(x: np.ndarray) -> np.ndarray:  # [T, n] -> [1, n]
    return x[-1:]


def last_row_as_column(x: np.ndarray) -> np.ndarray:  # [T, n] -> [n, 1]
    return x[-1:].T


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
            wide = max(shape) if step.rows is Axis.LAST_TOKEN and 1 in shape else shape[1]
            widths.append(wide * trial.config.n_embd // trial.shapes[name][1])
        rows = step.rows if step is not None else weight.rows if weight is not None else None
        if rows is Axis.VOCABULARY:
            every_row = step is not None and 1 not in shape  # [T, V]
            n_vocab = shape[1] if every_row else max(shape) if step is not None else max(n_vocab, shape[0])
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
