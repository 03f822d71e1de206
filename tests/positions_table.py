"""The tables of docs/positions.md: `python tests/positions_table.py` prints them, each number from a command.

A cell of the first is what `sheetgpt run PROMPT --weights MODEL --top 1 --json` says; the second is that of
`embedded_figures.py MODEL`.
"""

from __future__ import annotations

import json
from pathlib import Path

from command_line import sheetgpt_here
from embedded_figures import figures

MODELS = ("embedded", "sinusoidal", "rotary")
HEADINGS = ("learned", "sinusoidal", "rotary")
PROMPTS = {
    "Mike is quick. He moves": " quickly",
    "Fatima is quick. She moves": " quickly",
    "Mike Mike is quick. He moves": " quickly",
    "It is late. Mike is quick. He moves": " quickly",
    "Mike is quick. It is late. He moves": " quickly",
    "Anna is slow. Mike is quick. He moves": " quickly",
    "Mike is quick. Anna is slow. He moves": " quickly",
    "Mike is quick. Anna is slow. She moves": " slowly",
    "Mike is quick. Paul is slow. Mike moves": " quickly",
    "Yes. " * 18 + "Mike is quick. He moves": " quickly",
    "Yes. " * 40 + "Mike is quick. He moves": " quickly",
}


def cell(prompt: str, model: str) -> str:
    """The predicted token and its probability, or that the prompt is too long."""
    done = sheetgpt_here("run", prompt, "--weights", model, "--top", 1, "--json", cwd=Path())
    if done.code:
        assert "the model's context holds" in done.error
        return "too long"
    best = json.loads(done.out)["predictions"][0]
    return f"`{best['token']}` {best['probability']:.1%}"


def shown(prompt: str) -> str:
    """The prompt; many sentences that are the same, in short."""
    count = prompt.count("Yes. ")
    return f"{count} times `Yes. `, then `{prompt[5 * count :]}`" if count else f"`{prompt}`"


def by_prompt() -> str:
    rows = [
        [shown(prompt), f"`{word}`", *(cell(prompt, model) for model in MODELS)] for prompt, word in PROMPTS.items()
    ]
    return table(["prompt", "right", *HEADINGS], rows)


def by_kind() -> str:
    """The share of right predictions of each kind of prompt."""
    measured = [figures(model) for model in MODELS]
    kinds = [name for name in measured[0] if not name.startswith(("probability", "size"))]
    return table(["kind", *HEADINGS], [[kind, *(f"{one[kind]:.1%}" for one in measured)] for kind in kinds])


def table(headers: list[str], rows: list[list[str]]) -> str:
    cells = [headers, ["---"] * len(headers), *rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in cells)


if __name__ == "__main__":
    print(by_prompt())
    print(by_kind())
