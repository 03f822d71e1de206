"""GPT-2 under strange names: the same list of steps, every stage renamed, for the law that no reader asks a name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from string import ascii_lowercase
from zlib import crc32

from sheetgpt.models import gpt2
from sheetgpt.models.kinds import Kind, kind
from sheetgpt.models.step import Step

NAME = "strange"


def strange(name: str) -> str:
    """Another name, without a digit, a number or a word of the old one.

    >>> strange("logits")
    'zz_dskuixj'
    """
    number, letters = crc32(name.encode()), ""
    while number:
        number, letter = divmod(number, 26)
        letters += ascii_lowercase[letter]
    return f"zz_{letters}"


def renamed(steps: Iterable[Step]) -> list[Step]:
    """The same steps, each under its strange name, and so their inputs; weights and other inputs keep theirs."""
    steps = list(steps)
    names = {step.name: strange(step.name) for step in steps}
    return [
        replace(step, name=names[step.name], inputs=tuple(names.get(name, name) for name in step.inputs))
        for step in steps
    ]


def steps(config, *, untied=False, every_row=False):
    return renamed(gpt2.steps(config, untied=untied, every_row=every_row))


def training_steps(made):
    *before, penalties = gpt2.training_steps(made)
    return [*before, replace(penalties, name=strange(penalties.name))]


KINDS = (Kind(NAME, steps, gpt2.weights, training_steps, gpt2.first_weight, kind("gpt2").defaults),)
