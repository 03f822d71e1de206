"""`sheetgpt fixtures`: the stages of a run in another program's names and shapes, as an oracle for a port."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sheetgpt.commands import show
from sheetgpt.commands.stages import names_option


@click.command()
@click.argument("prompt", required=False)
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="Where to write; its suffix chooses the format: .npz, .safetensors or .json.",
)
@show.weights_option
@show.ids_option()
@click.option(
    "--stages",
    multiple=True,
    default=["*"],
    metavar="PATTERN",
    help='Which stages, by our names or the convention\'s: "block_0_*". May be given again. Default: all.',
)
@names_option(default="reference")
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), help="Default: float64; float32 for webgpt and llm-viz."
)
@click.option(
    "--head-layout",
    type=click.Choice(["heads", "reference"]),
    default="heads",
    show_default=True,
    help="Of steps 6 and 7 in the reference's names: heads side by side, or in padded slots.",
)
@show.json_option
def command(
    prompt: str | None,
    file: Path,
    weights: str | None,
    token_ids: list[int] | None,
    stages: tuple[str, ...],
    names: str,
    dtype: str | None,
    head_layout: str,
    as_json: bool,
) -> None:
    """Write stages of PROMPT's run to FILE, named and shaped as another program has them, with a manifest.

    Names and shapes: `sheetgpt stages`; of a model that is no GPT-2 in our own names only. Reading them back:
    `sheetgpt diff`.

    \b
    Examples:
      sheetgpt fixtures "Mike is quick. He moves" -o oracle.npz --names transformerlens
      sheetgpt fixtures "Mike is quick. He moves" -o first.json --stages "block_0_*"
    """
    from sheetgpt.fixtures import arrays as fixtures
    from sheetgpt.fixtures.conventions import CONVENTIONS
    from sheetgpt.fixtures.files import require_suffix
    from sheetgpt.model import load_model

    require_suffix(file)
    model = load_model(weights, dtype or CONVENTIONS[names].dtype)
    made = fixtures.make(model, prompt, token_ids=token_ids, stages=stages, names=names, head_layout=head_layout)
    made.save(file)
    if as_json:
        show.print_json({"file": str(file), **made.manifest})
    else:
        show.echo(as_text(made.manifest, file))


def as_text(manifest: Mapping[str, Any], file: Path) -> str:
    rows = [
        [about["name"], " x ".join(map(str, about["shape"])), about["dtype"], about["stage"], about["title"]]
        for about in manifest["arrays"]
    ]
    return "\n".join([show.table(["name", "shape", "dtype", "stage", "title"], rows), "", f"Wrote {file}"])
