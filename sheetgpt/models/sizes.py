"""What two runs have in common: constants, steps, number of tokens; and from those every stage's shape and labels.

Told from a manifest, from a weight folder, or from names and shapes alone, as a foreign dump has nothing else. Here
too the layouts in which a port may hold a stage (padded heads, heads under each other, a row for a column).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from sheetgpt import ops
from sheetgpt.errors import DumpError, StageError
from sheetgpt.models.config import REFERENCE_HEAD_SIZE, Config
from sheetgpt.models.gpt2 import Step
from sheetgpt.models.ladder import model_steps
from sheetgpt.weights.folder import LM_HEAD, matrix_shapes

Shape = tuple[int, int]
TEXT_STAGES = ("separated_into_words", "prompt_to_tokens", "final_tokens", "predicted_token")
WIDER = {"4": 3, "13": 4, "14": 4}  # steps whose columns are a multiple of n_embd


@dataclass(frozen=True)
class Setting:
    """The constants of a run, its number of tokens and, where known, the tokens."""

    config: Config
    n_tokens: int
    tokens: Sequence[str] = ()
    untied: bool = False

    @cached_property
    def steps(self) -> dict[str, Step]:
        """Every stage by name, in the order of the data."""
        return {step.name: step for step in model_steps(self.config, untied=self.untied)}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every weight and every stage that is a matrix, by name."""
        shapes = dict(matrix_shapes(self.config, self.untied))
        counts = {"tokens": self.n_tokens, "last token": 1, "vocabulary": self.config.n_vocab}
        for step in self.steps.values():
            if step.rows != "text":
                shapes[step.name] = counts[step.rows], self._columns(step, shapes)
        return shapes

    def _columns(self, step: Step, shapes: Mapping[str, Shape]) -> int:
        special = {"keys": self.n_tokens, "heads x keys": self.config.n_head * self.n_tokens, "logit": 1}
        if step.columns in special:
            return special[step.columns]
        if isinstance(step.op, ops.AttentionMix):
            return shapes[step.inputs[1]][1]
        if isinstance(step.op, ops.Linear):
            return shapes[step.inputs[1]][1]
        if isinstance(step.op, ops.Window):
            return shapes[step.inputs[0]][1] * step.op.size
        return shapes[step.inputs[0]][1] // getattr(step.op, "count", 1)

    def row_label(self, name: str, row: int) -> str:
        step = self.steps.get(name)
        rows = step.rows if step else ""
        if rows in ("tokens", "last token"):
            position = self.n_tokens - 1 if rows == "last token" else row
            return f"position {position}{self._token(position)}"
        return f"token id {row}" if rows == "vocabulary" else f"row {row}"

    def column_label(self, name: str, column: int) -> str:
        step = self.steps.get(name)
        columns = step.columns if step else ""
        if columns == "heads x keys":
            head, key = divmod(column, self.n_tokens)
            return f"head {head}, key {key}{self._token(key)}"
        if columns == "keys":
            return f"key {column}{self._token(column)}"
        if columns == "logit":
            return "logit"
        if step and (isinstance(step.op, ops.Columns) or name.endswith("_step_8")):
            return f"head {column // self.config.head_size}, dimension {column}"
        return f"dimension {column}" if step else f"column {column}"

    def _token(self, position: int) -> str:
        return f' "{self.tokens[position]}"' if position < len(self.tokens) else ""

    # ------------------------------------------------------------------------------------------------ layouts

    def forms(self, name: str) -> dict[Shape, Callable[[np.ndarray], np.ndarray]]:
        """The shapes in which a side may hold a stage, and for each what turns it into ours; ours comes first."""
        rows, columns = shape = self.shapes[name]
        forms: dict[Shape, Callable] = {shape: unchanged}
        step = self.steps.get(name)
        if step is not None and step.columns == "heads x keys":
            heads, keys, size = self.config.n_head, self.n_tokens, self.config.head_size
            if keys <= size:
                forms.setdefault(
                    (rows, heads * size), lambda x: x.reshape(rows, heads, size)[..., :keys].reshape(shape)
                )
            forms.setdefault((heads * rows, keys), lambda x: x.reshape(heads, rows, keys).swapaxes(0, 1).reshape(shape))
        if 1 in shape:
            forms.setdefault((columns, rows), np.transpose)
        return forms

    def fitted(self, name: str, array: np.ndarray) -> np.ndarray | None:
        """An array in our layout of a stage; None where its shape fits none of the layouts."""
        form = self.forms(name).get(array.shape)
        return None if form is None else form(array)


def unchanged(x: np.ndarray) -> np.ndarray:
    return x


def tell_setting(sides: Iterable, config: Config | None = None, *, untied: bool = False) -> Setting:
    """The setting that these sides (`sources.Source`) were computed in; `config` where the weights are known.

    Raises DumpError where nothing tells it.
    """
    sides = list(sides)
    config = config or next(filter(None, (side.config for side in sides)), None)
    known = {name: side.shape(name) for side in reversed(sides) for name in side.names if name not in TEXT_STAGES}
    n_tokens = next((len(side.tokens) for side in sides if side.tokens), 0) or count_tokens(known)
    if config is None:
        config = inferred_config(known, n_tokens)
    tokens = next((side.tokens for side in sides if side.tokens), ())
    return Setting(config, n_tokens or 1, tokens, untied or LM_HEAD in known)


def count_tokens(shapes: Mapping[str, Shape]) -> int:
    """The number of tokens, from any stage that has a row a token; 0 where there is none."""
    by_token = re.compile(r"(token|position)_embeddings|triangle_matrix|block_\d+_step_(?!6$|7$)\w+")
    rows = [shape[0] for name, shape in shapes.items() if by_token.fullmatch(name)]
    return max(set(rows), key=rows.count, default=0)


def inferred_config(shapes: Mapping[str, Shape], n_tokens: int) -> Config:
    """Constants from the names and shapes of the stages alone; the head size is the reference's where none tells it."""
    blocks, widths, n_head = [], [], 0
    for name, (_, columns) in shapes.items():
        number, _, step = name.removeprefix("block_").partition("_step_")
        if step:
            blocks.append(int(number))
        if step in ("6", "7"):
            if n_tokens and columns % n_tokens == 0:
                n_head = n_head or columns // n_tokens
        elif step or name in ("token_embeddings", "position_embeddings"):
            widths.append(columns // WIDER.get(step, 1))
        elif name in ("last_hidden_state", "last_layernorm", "predicted_embedding"):
            widths.append(max(shapes[name]))
    n_vocab = max(shapes.get("logits", shapes.get("model_wte", (1, 1))))
    n_embd = max(set(widths), key=widths.count, default=shapes.get("model_wte", (1, REFERENCE_HEAD_SIZE))[1])
    if not n_head or n_embd % n_head or n_head * n_tokens == n_embd:
        n_head = max(1, n_embd // REFERENCE_HEAD_SIZE) if n_embd % REFERENCE_HEAD_SIZE == 0 else 1
    n_ctx = shapes.get("model_wpe", (max(n_tokens, 1), 0))[0]
    return Config(max(blocks, default=0) + 1, n_head, n_embd, n_ctx, n_vocab)


def config_of(constants: Mapping) -> Config | None:
    """The constants that a manifest holds; None where they lack one."""
    known = {field.name for field in fields(Config)}
    try:
        return Config(**{name: value for name, value in constants.items() if name in known})
    except TypeError:
        return None


def require_shape(setting: Setting, name: str, shape: Shape, where: str) -> None:
    """Raises DumpError where a stage of this shape can't be one of the run."""
    if name not in setting.shapes:
        raise DumpError(f"{where}: no stage is called {name!r}; stages are called as `sheetgpt run --json` lists them")
    if shape not in setting.forms(name):
        rows, columns = setting.shapes[name]
        raise DumpError(
            f"{where}: {name} is {rows} x {columns} and the range has {shape[0]} x {shape[1]} cells: correct the range"
        )


def require_override(name: str, shape: tuple[int, ...], expected: Shape) -> None:
    """Raises StageError where a matrix can't stand for a stage or weight."""
    if tuple(shape) != tuple(expected):
        given = " x ".join(map(str, shape)) or "a single number"
        raise StageError(
            f"{name} is {expected[0]} x {expected[1]}, and what should replace it is {given}: give that shape"
        )
