"""`sheetgpt explore --compare LEFT RIGHT`: what `sheetgpt diff` finds, in the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sheetgpt.commands import diff as diff_command
from sheetgpt.errors import DumpError

if TYPE_CHECKING:
    from sheetgpt.explore.sides import Sides

Command = TypeVar("Command", bound=Callable[..., Any])
OF_DIFF = {
    "right_map": diff_command.map_option,
    "left_map": diff_command.left_map_option,
    "atol": diff_command.atol_option,
    "rtol": diff_command.rtol_option,
    "stages": diff_command.stages_option,
}
compare_option = click.option(
    "--compare",
    nargs=2,
    metavar="LEFT RIGHT",
    help="Open a comparison instead of a run; both sides as `sheetgpt diff` takes them, and its options.",
)


def options(command: Command) -> Command:
    """`--compare` and how `diff` compares."""
    for option in reversed([compare_option, *OF_DIFF.values()]):
        command = option(command)
    return command


def require_fitting(compare: tuple[str, str] | None, given: Mapping[str, bool], how: Mapping[str, Any]) -> None:
    """Raises click.UsageError where options of a run stand beside a comparison, or the other way round.

    given: by option, whether what makes a run is given.
    """
    if compare is None:
        found = [name for name, value in how.items() if value is not None]
        if found:
            name = found[0].replace("right_map", "map").replace("_", "-")
            raise click.UsageError(f"--{name} belongs with --compare LEFT RIGHT.")
        return
    beside = [name for name, is_given in given.items() if is_given]
    if beside:
        raise click.UsageError(f"--compare takes its runs from LEFT and RIGHT: leave {beside[0]} out.")


def open_sides(compare: tuple[str, str], weights: str | None, dtype: str, how: Mapping[str, Any]) -> Sides:
    """What answers the page. Raises DumpError where a side is none, or the two can't be compared."""
    from sheetgpt.diff import compared
    from sheetgpt.diff.sides import open_side
    from sheetgpt.explore.comparison import Compared
    from sheetgpt.explore.sides import Sides

    require_stages(compare)
    maps = (how["left_map"], how["right_map"])
    sides = [
        open_side(text, weights=weights, dtype=dtype, map_file=map_file)
        for text, map_file in zip(compare, maps, strict=True)
    ]
    comparison, report = compared(*sides, atol=how["atol"], rtol=how["rtol"], weights=weights, only=how["stages"])
    notes = [*diff_command.remarks(report), *diff_command.unread(report)]
    found = Compared(comparison, report, notes)
    found.facts  # noqa: B018 - computed now: what is wrong is said here, and the page opens at once
    return Sides(found)


def require_stages(compare: tuple[str, str]) -> None:
    """Raises DumpError where a side is a training step or what was generated."""
    from sheetgpt.diff import training
    from sheetgpt.diff.generation.dumps import is_generation

    for text in compare:
        if training.is_training(text) or is_generation(text):
            raise DumpError(
                "is no run stage by stage, so the page can't show it", where=text, remedy="compare it by sheetgpt diff"
            )
