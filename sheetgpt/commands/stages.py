"""`sheetgpt stages`: every stage, how it is made, why, and what other programs call it; prints docs/stages.md too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sheetgpt.commands import show

if TYPE_CHECKING:
    from sheetgpt.models.sizes import Sizes
    from sheetgpt.models.step import Step, Steps

NAMES = ("reference", "transformerlens", "huggingface", "webgpt", "llm-viz")


def names_option(default: str | None = None) -> Callable[[Any], Any]:
    """`--names`, which chooses a convention."""
    return click.option(
        "--names",
        type=click.Choice(NAMES),
        default=default,
        show_default=bool(default),
        help="Whose names and shapes.",
    )


@click.command()
@names_option()
@click.option("--models", is_flag=True, help="Show the models that ship inside instead: names for --weights.")
@click.option("--markdown", is_flag=True, help="Print docs/stages.md.")
@show.json_option
def command(names: str | None, models: bool, markdown: bool, as_json: bool) -> None:
    """Show every stage, in order, its name in other programs, and why it is there.

    With --names one program's names and shapes.

    In names {i} is the block's number, {last} the last block's, {n} the number of blocks.

    \b
    Examples:
      sheetgpt stages --names transformerlens
      sheetgpt stages --models
    """
    if models:
        show_models(as_json=as_json)
        return
    data = as_data()
    if markdown:
        show.echo(as_markdown(data), nl=False)
    elif as_json:
        show.print_json(data)
    else:
        show.echo(one(data, names) if names else overview(data))


def as_data() -> dict[str, Any]:
    """The conventions, and every stage of a block {i} with its name and shape in each."""
    from sheetgpt.fixtures.conventions import CONVENTIONS

    conventions = [
        {"name": one.name, "title": one.title, "masked": str(one.masked), "dtype": one.dtype, "notes": one.notes}
        for one in CONVENTIONS.values()
    ]
    return {"conventions": conventions, "stages": [row_data(row, **about) for row, about in rows().items()]}


def row_data(row: str, title: str, how: str, why: str, axes: str, weights: str) -> dict[str, Any]:
    """A row of the table: what it is, and its names and shape in each convention."""
    from sheetgpt.fixtures.axes import shape_text
    from sheetgpt.fixtures.conventions import CONVENTIONS
    from sheetgpt.fixtures.entries import cell_of

    cells = {name: cell_of(name, row, axes) for name in CONVENTIONS}
    names = {
        name: {"names": cell.names, "also_read": cell.aliases, "shape": shape_text(cell.axes)}
        for name, cell in cells.items()
        if cell.names or cell.aliases
    }
    return {"stage": row, "title": title, "how": how, "why": why, "weights": weights.split(), "names": names}


def rows() -> dict[str, dict[str, str]]:
    """Row of the table -> its title, how and why it is made, our axes: GPT-2's stages, whichever positions it has.

    A title names the kind of positions where a stage belongs to one alone.
    """
    from sheetgpt.models.config import POSITIONS

    found: dict[str, dict[str, str]] = {}
    order: list[str] = []
    for position in POSITIONS:
        place = len(order)
        for row, about in reversed(rows_of(position).items()):
            if row not in found:
                only = "" if position == POSITIONS[0] else f" ({position} positions only)"
                found[row] = {**about, "title": about["title"] + only}
                order.insert(place, row)
            place = order.index(row)
    return {row: found[row] for row in order}


def rows_of(position: str) -> dict[str, dict[str, str]]:
    """The same of a GPT-2 with one kind of positions, from the smallest that has a block behind another."""
    from sheetgpt.fixtures.entries import in_order, our_axes, row_of
    from sheetgpt.models.config import Config
    from sheetgpt.models.sizes import Sizes

    sizes = Sizes(Config(2, 1, 2, 1, 1, position), 1)
    how = {(row_of(step), step.block): how_made(step, sizes.steps) for step in sizes.steps}
    found: dict[str, dict[str, str]] = {}
    for step, made in in_order(sizes.steps):
        row = row_of(step)
        if made:
            other = {"title": f"{made.words} {made.of}", "how": "", "why": "", "axes": "", "weights": ""}
            found.setdefault(made.stage, other)
        elif row not in found:
            first, later = how[row, step.block], how.get((row, 1))
            words = f"{first}; later {later}" if step.block == 0 and later != first else first
            about = {"title": step.title, "how": words, "why": step.why, "axes": our_axes(step, sizes)}
            found[row] = about | {"weights": " ".join(weights_of(step, sizes))}
    return found


def weights_of(step: Step, sizes: Sizes) -> list[str]:
    """The weights that the step reads, those of a block by its number {i}."""
    found = [(name, sizes.weights[name].block) for name in step.inputs if name in sizes.weights]
    return [name if block is None else name.replace(str(block), "{i}", 1) for name, block in found]


def how_made(step: Step, steps: Steps) -> str:
    """Its words, where another block's stage has no number: that of the block before, or of the last."""
    from sheetgpt.fixtures.entries import row_of

    words = step.words
    for name in step.inputs:
        before = steps.by_name.get(name)
        if before is not None and before.block is not None and before.block != step.block:
            words = words.replace(name, row_of(before, "{last}" if step.block is None else "{i-1}"))
    return words


def overview(data: dict[str, Any]) -> str:
    """Our stages beside the others' names."""
    headers = ["stage", "title", "shape", *NAMES[1:]]
    rows = [
        [stage["stage"], stage["title"], shape_of(stage, "reference"), *(names_of(stage, name) for name in NAMES[1:])]
        for stage in data["stages"]
    ]
    reasons = show.table(["stage", "why"], [[stage["stage"], stage["why"]] for stage in data["stages"] if stage["why"]])
    return "\n".join([show.table(headers, rows), "", reasons, "", legend()])


def one(data: dict[str, Any], names: str) -> str:
    """One convention: its names and shapes, and what to know of it."""
    from textwrap import fill

    about = next(convention for convention in data["conventions"] if convention["name"] == names)
    rows = [
        [stage["stage"], stage["title"], names_of(stage, names), shape_of(stage, names)]
        for stage in data["stages"]
        if names_of(stage, names)
    ]
    table = show.table(["stage", "title", "name", "shape"], rows)
    return "\n".join([about["title"], "", table, "", legend(), "", fill(about["notes"], 110)])


def names_of(stage: dict[str, Any], convention: str) -> str:
    return ", ".join(stage["names"].get(convention, {}).get("names", ()))


def shape_of(stage: dict[str, Any], convention: str) -> str:
    shape: str = stage["names"].get(convention, {}).get("shape", "")
    return shape


def legend() -> str:
    return (
        "T: tokens, d: n_embd, H: heads, s: d / H, V: n_vocab; {i}: the block's number, {last}: the last block's, "
        "{n}: how many blocks"
    )


def show_models(*, as_json: bool) -> None:
    """The models that ship inside, each in a line."""
    found = models_data()
    if as_json:
        show.print_json(found)
        return
    rows = [[one["name"], one["constants"].get("position", ""), one["about"]] for one in found]
    show.echo(show.table(["name", "positions", "what it is"], rows))
    show.echo("\nA name stands where a folder may: --weights rotary. A folder called so is meant by a path: ./rotary")


def models_data() -> list[dict[str, Any]]:
    from sheetgpt.weights.embedded import ABOUT, embedded_folder
    from sheetgpt.weights.folder import read_config

    folders = {name: embedded_folder(name) for name in ABOUT}
    return [
        {"name": name, "about": ABOUT[name], "folder": str(folder), "constants": dict(read_config(folder).rows())}
        for name, folder in folders.items()
    ]


# ------------------------------------------------------------------------------------------------ docs/stages.md

INTRODUCTION = """\
# The stages, and what others call them

<!-- Generated: `sheetgpt stages --markdown > docs/stages.md`. Change the list of steps or the table of conventions. -->

Every stage from the prompt to the predicted token, in order. A stage's name is its key everywhere: in Python, as a CSV
file's name, as a name in the workbook, in `diff`, in `--set`, in `fixtures`. `sheetgpt stages` prints these tables.

In shapes T is the number of tokens, d `n_embd`, H `n_head`, s = d / H, V `n_vocab`. In names `{i}` is the block's
number, `{last}` the last block's, `{n}` the number of blocks. Weights are files, `WEIGHT.csv`: `w` is the matrix, `b`
the bias. The prediction is a table of texts and numbers in the workbook; in memory and in dumps the logit and the id.
"""


def as_markdown(data: dict[str, Any]) -> str:
    parts = [INTRODUCTION, markdown_table(["stage", "title", "how it is made", "weights", "why", "shape"], ours(data))]
    for about in data["conventions"][1:]:
        parts.append(f"\n## `--names {about['name']}`: {about['title']}\n")
        parts.append(f"{about['notes']} Masked scores hold {about['masked']}.\n")
        parts.append(markdown_table(["our stage", "name", "shape", "read as well"], theirs(data, about["name"])))
    return "\n".join(parts)


def ours(data: dict[str, Any]) -> list[list[str]]:
    made = [stage for stage in data["stages"] if stage["how"]]
    return [
        [code(one["stage"]), one["title"], one["how"], weights_text(one), one["why"], shape_of(one, "reference")]
        for one in made
    ]


def weights_text(stage: dict[str, Any]) -> str:
    return ", ".join(map(code, stage["weights"]))


def theirs(data: dict[str, Any], convention: str) -> list[list[str]]:
    rows = []
    for stage in data["stages"]:
        if found := stage["names"].get(convention):
            what = code(stage["stage"]) if stage["how"] else stage["title"]
            names, aliases = (", ".join(map(code, found[group])) for group in ("names", "also_read"))
            rows.append([what, names, found["shape"], aliases])
    return rows


def code(text: str) -> str:
    return f"`{text}`"


def markdown_table(headers: list[str], rows: list[list[str]]) -> str:
    cells = [headers, ["---"] * len(headers), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in cells)
