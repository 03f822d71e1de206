"""One lens over many prompts: the mean and the spread of every cell that has the same meaning in each of them.

The last position's row, a head or an MLP of a block, a part of a logit: these can be averaged. Other positions can't,
as they hold other tokens in each prompt. Running the prompts, one after the other, belongs in whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sheetgpt.errors import LensError
from sheetgpt.files.text import counted
from sheetgpt.lens.ablation import Ablation, measured
from sheetgpt.lens.attribution import Attribution
from sheetgpt.lens.logits import LogitLens
from sheetgpt.lens.spread import COUNT, DEVIATION, MEAN, Spread
from sheetgpt.lens.tables import Look, Report, Table
from sheetgpt.lens.tokens import spelled
from sheetgpt.models.step import Role

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Gathering", "Quantity"]

STATED = (
    "Averaged over {}, each counted once: {}. The standard deviation is that of these prompts: its square is divided "
    "by their number."
)
SHARED = ("set", "against", "stages", "instead")  # facts that are the same for every prompt
FEW = 10  # prompts left out that a terminal lists
LONGEST = 60  # letters of a prompt in a table: its number names it


@dataclass(frozen=True)
class LeftOut:
    """A prompt that could not be looked at."""

    number: int  #: its place among the prompts, from 0
    prompt: str  #: the text
    reason: str  #: why not


@dataclass(frozen=True)
class Quantity:
    """A number in each cell of a lens."""

    name: str  #: a table's name
    title: str  #: the table's title
    #: gives the cells [cells] by their labels; where these have two levels, they make a map
    of: Callable[[Any], pd.Series]
    look: Look  #: how the numbers are shown
    is_map: bool = False  #: do the cells make a map?
    is_listed: bool = True  #: is there also, or only, a list of the cells with their spread?
    is_ranked: bool = False  #: from its largest mean on?

    def tables(self, spread: Spread, over: str, top: int | None) -> Iterator[Table]:
        """The tables of a quantity: a map of means, a list with the spread."""
        cells = spread.table()
        if self.is_map:
            yield Table(self.name, f"{self.title}: the mean over {over}", as_map(cells[MEAN]), self.look)
        if self.is_listed:
            name, order = (f"{self.name}_spread" if self.is_map else self.name), ""
            if self.is_ranked:
                cells = cells.sort_values(MEAN, key=abs, ascending=False, kind="stable")
                order = ", the largest mean first"
            title = f"{self.title}: mean and spread over {over}{order}"
            distance = Look.PLAIN if self.look is Look.DIVERGING else self.look  # it has no sign
            looks = {COUNT: Look.COUNTS, DEVIATION: distance}
            yield Table(name, title, cells, self.look, looks=looks, shown=top)


@dataclass(frozen=True)
class Gathering:
    """How one lens is gathered."""

    title: str  #: the lens's name
    what: str  #: that is averaged
    #: gives the id of the token that a prompt was looked at for; None: it has several
    target: Callable[[Any], int | None]
    quantities: Sequence[Quantity]  #: the numbers that are averaged


@dataclass(frozen=True)
class Gathered:
    """A lens over many prompts."""

    gathering: Gathering  #: which lens, and how it is gathered
    count: int  #: prompts that were looked at
    left_out: Sequence[LeftOut]  #: prompts that were not
    spreads: Mapping[str, Spread]  #: by the quantities' names
    facts: Mapping[str, Any]  #: what is the same for every prompt
    notes: Sequence[str]  #: the lens's conventions

    def report(self, top: int | None = None) -> Report:
        """top: how many cells of each list a terminal shows."""
        over = counted(self.count, "prompt")
        tables = [
            table
            for one in self.gathering.quantities
            for table in one.tables(self.spreads[one.name], over, top if one.is_ranked else None)
        ]
        return Report(
            f"{self.gathering.title} over {over}",
            {"prompts": self.count, "left out": len(self.left_out), **self.facts},
            [*tables, *left_out_tables(self.left_out)],
            (*self.notes, STATED.format(over, self.gathering.what)),
        )


def gather(looks: Iterable[LogitLens | Attribution | Ablation | LeftOut]) -> Gathered:
    """One lens over many prompts, of which one is held at a time. Raises LensError where all were left out."""
    gathering: Gathering | None = None
    facts: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    spreads: dict[str, Spread] = {}
    targets: dict[int | None, str] = {}
    left_out: list[LeftOut] = []
    count = 0
    for look in looks:
        if isinstance(look, LeftOut):
            left_out.append(look)
            continue
        if gathering is None:
            gathering, head = GATHERINGS[type(look)], look.report()
            facts, notes = {name: head.facts[name] for name in SHARED if name in head.facts}, head.notes
        for one in gathering.quantities:
            values = one.of(look)
            spreads[one.name] = spreads[one.name].with_more(values) if one.name in spreads else Spread.of(values)
        target = gathering.target(look)
        targets.setdefault(target, "" if target is None else spelled(look.trace, target))
        count += 1
    if gathering is None:
        raise nothing_left(left_out)
    return Gathered(gathering, count, left_out, spreads, {"token": token_of(targets), **facts}, notes)


def nothing_left(left_out: Sequence[LeftOut]) -> LensError:
    if not left_out:
        return LensError("there are no prompts to look at", remedy="write one a line")
    first = left_out[0]
    return LensError(
        f"none of {counted(len(left_out), 'prompt')} can be looked at; number {first.number}: {first.reason}"
    )


def token_of(targets: Mapping[int | None, str]) -> str | list[str]:
    """The token that all prompts were looked at for, or that it was another for each; a list isn't quoted."""
    if None in targets:
        return ["each prompt's own prediction"]
    first, *others = targets.values()
    return [f"each prompt's own, {len(targets)} different ones"] if others else first


def in_short(prompt: str) -> str:
    """A prompt as a table holds it."""
    return prompt if len(prompt) <= LONGEST else f"{prompt[: LONGEST - 3]}..."


def left_out_tables(left_out: Sequence[LeftOut]) -> Iterator[Table]:
    """The prompts that were left out, and why; no table where there are none."""
    import pandas as pd

    if left_out:
        rows = [[in_short(one.prompt), one.reason] for one in left_out]
        numbers = pd.Index([one.number for one in left_out], name="number")
        frame = pd.DataFrame(rows, numbers, ["prompt", "reason"])
        looks = {"prompt": Look.TOKENS}
        yield Table(
            "left_out", "Left out, by number from 0", frame, Look.TEXTS, looks=looks, shown=FEW, cut_by="--json"
        )


# ------------------------------------------------------------------------------------------------ what each lens gives


def cells_of(frame: pd.DataFrame) -> pd.Series:
    """A map's cells by row and column; empty ones are left out."""
    import pandas as pd

    values, labels = frame.to_numpy().ravel(), pd.MultiIndex.from_product([frame.index, frame.columns])
    there = ~pd.isna(values)
    return pd.Series(values[there], labels if there.all() else labels[there])


def as_map(cells: pd.Series) -> pd.DataFrame:
    """Cells by row and column as a map, in the order in which they stand."""
    import pandas as pd

    rows, columns = (pd.Index(cells.index.unique(level), name=level) for level in cells.index.names)
    return cells.unstack().reindex(index=rows, columns=columns)  # noqa: PD010 - every cell stands once


def changed(ablation: Ablation) -> pd.Series:
    """1 where another token is predicted without the piece, else 0; by piece."""
    predictions = cells_of(ablation.prediction)
    return (predictions != ablation.trace.predicted_token).astype(float)


def before(ablation: Ablation) -> pd.Series:
    """The token's logit and probability in the run as it is."""
    logit, probability = measured(ablation.trace.role(Role.LOGITS)[None], ablation.token)
    return named({"logit": float(logit[0]), "probability": float(probability[0])}, "of the token")


def total(attribution: Attribution) -> pd.Series:
    name = "logit" if attribution.against is None else "logit difference"
    return named({name: attribution.value, "sum": attribution.total}, "of the token")


def named(values: Mapping[str, float], labels: str) -> pd.Series:
    import pandas as pd

    return pd.Series(values, pd.Index(values, name=labels))


GATHERINGS: Mapping[type, Gathering] = {
    LogitLens: Gathering(
        "Logit lens",
        "the last position's row, after each layer",
        lambda found: found.target,
        (
            Quantity("rank", "The token's rank", lambda found: found.rank.iloc[-1], Look.PLAIN),
            Quantity("probability", "The token's probability", lambda found: found.probability.iloc[-1], Look.SHARES),
            Quantity(
                "best_probability",
                "The best token's probability",
                lambda found: found.best_probability.iloc[-1],
                Look.SHARES,
            ),
            Quantity(
                "is_best",
                "In what share of the prompts the token is the best one",
                lambda found: (found.rank.iloc[-1] == 1).astype(float),
                Look.SHARES,
            ),
        ),
    ),
    Attribution: Gathering(
        "Direct logit attribution",
        "what each part adds to the last position's logit; heads, MLPs and biases by block",
        lambda found: found.token,
        (
            Quantity("logit", "The logit, and the sum of the parts", total, Look.PLAIN),
            Quantity(
                "blocks",
                "What each head, MLP and bias adds, by block",
                lambda found: cells_of(found.blocks),
                Look.DIVERGING,
                is_map=True,
                is_listed=False,
            ),
            Quantity(
                "parts",
                "Every part",
                lambda found: found.parts.set_index("part")["adds"],
                Look.DIVERGING,
                is_ranked=True,
            ),
        ),
    ),
    Ablation: Gathering(
        "Ablation",
        "what changes at the last position when a piece is out; heads, MLPs and blocks by block",
        lambda found: found.token,
        (
            Quantity("before", "Before anything is out", before, Look.PLAIN),
            Quantity(
                "logit",
                "The change of the token's logit",
                lambda found: cells_of(found.logit),
                Look.DIVERGING,
                is_map=True,
            ),
            Quantity(
                "probability",
                "The change of the token's probability",
                lambda found: cells_of(found.probability),
                Look.DIVERGING,
                is_map=True,
            ),
            Quantity(
                "changed",
                "In what share of the prompts another token is predicted without the piece",
                changed,
                Look.SHARES,
                is_map=True,
                is_listed=False,
            ),
        ),
    ),
}
