"""`sheetgpt stages`: every stage, how it is made, and what other programs call it; prints docs/stages.md too."""

from __future__ import annotations

import click

from sheetgpt.commands import show

NAMES = ("reference", "transformerlens", "huggingface", "webgpt", "llm-viz")


def names_option(default: str | None = None):
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
@click.option("--markdown", is_flag=True, help="Print docs/stages.md.")
@show.json_option
def command(names, markdown, as_json):
    """Show every stage, in order, and its name in other programs; with --names one program's names and shapes.

    In names {i} is the block's number, {last} the last block's, {n} the number of blocks.

    \b
    Example:
      sheetgpt stages --names transformerlens
    """
    data = as_data()
    if markdown:
        click.echo(as_markdown(data), nl=False)
    elif as_json:
        show.print_json(data)
    else:
        click.echo(one(data, names) if names else overview(data))


def as_data() -> dict:
    """The conventions, and every stage of a block {i} with its name and shape in each."""
    from dataclasses import asdict

    from sheetgpt.fixtures.axes import shape_text
    from sheetgpt.fixtures.table import CONVENTIONS, TABLE

    told = told_steps()
    stages = []
    for row in TABLE:
        title, how = told.get(row.stage, (row.made, ""))
        cells = {name: row.cell(name) for name in CONVENTIONS}
        stages.append(
            {
                "stage": row.stage,
                "title": title,
                "how": how,
                "names": {
                    name: {"names": cell.names, "also_read": cell.aliases, "shape": shape_text(cell.axes)}
                    for name, cell in cells.items()
                    if cell
                },
            }
        )
    conventions = [asdict(convention) | {"masked": str(convention.masked)} for convention in CONVENTIONS.values()]
    return {"conventions": conventions, "stages": stages}


def told_steps() -> dict[str, tuple[str, str]]:
    """Stage pattern -> (title, how it is made), told by the first kind of positions that has it."""
    from sheetgpt.models.config import POSITIONS, Config
    from sheetgpt.models.gpt2 import gpt2

    told = {}
    for position in POSITIONS:
        steps = {step.name: step for step in gpt2(Config(2, 1, 2, 1, 1, position))}
        for name, step in steps.items():
            how = step.words.replace("block_1_", "block_{last}_")
            if step.block == 0:
                later = steps[name.replace("block_0", "block_1")].words
                how = how if later == step.words else f"{how}; later {later.replace('block_0', 'block_{i-1}')}"
            if step.block != 1:
                only = "" if position == POSITIONS[0] else f" ({position} positions only)"
                told.setdefault(name.replace("block_0_", "block_{i}_"), (step.title + only, how))
    return told


def overview(data: dict) -> str:
    """Our stages beside the others' names."""
    headers = ["stage", "title", "shape", *NAMES[1:]]
    rows = [
        [stage["stage"], stage["title"], shape_of(stage, "reference"), *(names_of(stage, name) for name in NAMES[1:])]
        for stage in data["stages"]
    ]
    return "\n".join([show.table(headers, rows), "", legend()])


def one(data: dict, names: str) -> str:
    """One convention: its names and shapes, and what to know of it."""
    from textwrap import fill

    about = next(convention for convention in data["conventions"] if convention["name"] == names)
    rows = [
        [stage["stage"], stage["title"], names_of(stage, names), shape_of(stage, names)]
        for stage in data["stages"]
        if names in stage["names"]
    ]
    table = show.table(["stage", "title", "name", "shape"], rows)
    return "\n".join([about["title"], "", table, "", legend(), "", fill(about["notes"], 110)])


def names_of(stage: dict, convention: str) -> str:
    return ", ".join(stage["names"].get(convention, {}).get("names", ()))


def shape_of(stage: dict, convention: str) -> str:
    return stage["names"].get(convention, {}).get("shape", "")


def legend() -> str:
    return (
        "T: tokens, d: n_embd, H: heads, s: d / H, V: n_vocab; {i}: the block's number, {last}: the last block's, "
        "{n}: how many blocks"
    )


# ------------------------------------------------------------------------------------------------ docs/stages.md

INTRODUCTION = """\
# The stages, and what others call them

<!-- Generated: `sheetgpt stages --markdown > docs/stages.md`. Change the list of steps or the table of conventions. -->

Every stage from the prompt to the predicted token, in order. A stage's name is its key everywhere: in Python, as a CSV
file's name, as a name in the workbook, in `diff`, in `--set`, in `fixtures`. `sheetgpt stages` prints these tables.

In shapes T is the number of tokens, d `n_embd`, H `n_head`, s = d / H, V `n_vocab`. In names `{i}` is the block's
number, `{last}` the last block's, `{n}` the number of blocks.
"""


def as_markdown(data: dict) -> str:
    parts = [INTRODUCTION, markdown_table(["stage", "title", "how it is made", "shape"], ours(data))]
    for about in data["conventions"][1:]:
        parts.append(f"\n## `--names {about['name']}`: {about['title']}\n")
        parts.append(f"{about['notes']} Masked scores hold {about['masked']}.\n")
        parts.append(markdown_table(["our stage", "name", "shape", "read as well"], theirs(data, about["name"])))
    return "\n".join(parts)


def ours(data: dict) -> list[list[str]]:
    return [
        [code(stage["stage"]), stage["title"], stage["how"], shape_of(stage, "reference")]
        for stage in data["stages"]
        if stage["how"]
    ]


def theirs(data: dict, convention: str) -> list[list[str]]:
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
