"""The model as data for the page: its constants, its list of steps, its weights. The page knows no model by itself."""

from __future__ import annotations

import math
from dataclasses import fields
from enum import Enum
from typing import Any

from sheetgpt.errors import UnknownStageError
from sheetgpt.explore import learning, pictures
from sheetgpt.lens.stream import writes_of
from sheetgpt.model import Model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import has_last_position, training_steps
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Step, Steps, Weight
from sheetgpt.ops import Copy, Op
from sheetgpt.weights.folder import folder_name

MOST_LEARNED = 120_000  # weights of a model that the page trains: the ladder up to its GPT-2


def facts(model: Model) -> dict[str, Any]:
    """`Facts` of page/src/source.ts, but for what to begin with."""
    sizes = Sizes(model.config, 1, untied=model.weights.untied)
    learns = count_weights(sizes) <= MOST_LEARNED
    training = training_steps(model.config, untied=model.weights.untied) if learns else ()
    about = {
        "name": name_of(model),
        "weights": str(folder_name(model.weights.folder)),
        "dtype": str(model.weights.dtype),
        "hasText": model.tokenizer is not None,
    }
    return {
        "model": constants(model.config) | about | {"learns": learns},
        "trainingSteps": [step_data(step) for step in training],
        "training": learning.training(model) if learns else None,
        **structure(sizes),
    }


def count_weights(sizes: Sizes) -> int:
    """How many numbers the weights hold; none is read for it."""
    return sum(math.prod(weight.shape) for weight in sizes.weights.values())


def structure(sizes: Sizes) -> dict[str, Any]:
    """The list of steps and the weights."""
    return {
        "steps": [step_data(step) for step in sizes.steps],
        "stream": stream(sizes.steps),
        "weights": [weight_data(name, weight) for name, weight in sizes.weights.items()],
    }


def constants(config: Config) -> dict[str, Any]:
    return {
        "kind": config.model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_ctx": config.n_ctx,
        "room": config.n_ctx if has_last_position(config) else None,
        "n_vocab": config.n_vocab,
    }


def stream(steps: Steps) -> list[str]:
    """The stages of the residual stream."""
    writes = list(writes_of(steps))
    ends = {step.name for write in writes for step in (write.before, write.after)}
    return [step.name for step in steps if step.name in ends or is_copy_of(step, ends)]


def is_copy_of(step: Step, names: set[str]) -> bool:
    return isinstance(step.op, Copy) and step.inputs[0] in names


def name_of(model: Model) -> str:
    """The model's folder as a person calls it."""
    return str(folder_name(model.weights.folder)).rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def step_data(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "withinBlock": step.within_block,
        "title": step.title,
        "shortTitle": step.short_title,
        "words": step.words,
        "why": step.why,
        "op": op_data(step.op),
        "inputs": step.inputs,
        "rows": step.rows.value,
        "columns": step.columns.value,
        "part": step.part.value,
        "block": step.block,
        "number": step.number,
        "role": step.role.name if step.role else None,
        "isGiven": step.is_given,
        "byHead": step.by_head,
        "masked": step.op.masked,
        "shares": step.op.shares,
        "groups": step.op.groups,
    }


def op_data(op: Op) -> dict[str, Any]:
    """An operation's name and the fields that make it."""
    return {"name": type(op).__name__} | {field.name: plain(getattr(op, field.name)) for field in fields(op)}


def plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def weight_info(model: Model, name: str) -> dict[str, Any]:
    """`WeightInfo` of page/src/source.ts. Raises UnknownStageError."""
    if name not in model.weights:
        raise UnknownStageError(name, model.weights)
    matrix = model.weights[name]
    return {"end": pictures.scale_end(matrix), "statistics": pictures.statistics(matrix)}


def weight_data(name: str, weight: Weight) -> dict[str, Any]:
    return {
        "name": name,
        "rows": weight.shape[0],
        "columns": weight.shape[1],
        "counts": weight.rows.value if weight.rows else None,
        "use": weight.use.value,
        "part": weight.part.value,
        "block": weight.block,
    }
