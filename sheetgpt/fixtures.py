"""Fixtures: the stages of a run as arrays in another program's names and shapes, and such arrays as our matrices again.

An oracle for a port. What the names are is `conventions`' table, files are `fixture_files`', comparing is `diff`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt import dump, forward, frames, naming, ops, steps
from sheetgpt.axes import rearrange
from sheetgpt.conventions import CONVENTIONS
from sheetgpt.errors import DumpError, StageError
from sheetgpt.fixture_files import Arrays, checksum, load, save
from sheetgpt.sources import NpzSource

if TYPE_CHECKING:
    from sheetgpt.model import Model

HEAD_STAGES = ("last_hidden_state", "last_layernorm", "predicted_embedding", "logits", "predicted_token")


@dataclass(frozen=True)
class Fixture:
    """Arrays by their name in a convention, in causal order, and what the manifest tells of them."""

    arrays: Mapping[str, np.ndarray]
    manifest: Mapping

    def save(self, path: Path) -> Path:
        """Write .npz, .safetensors or .json. Raises DumpError where that fails."""
        return save(Path(path), self.arrays, self.manifest, self.manifest["names"])


def make(
    model: Model,
    prompt: str | None = None,
    *,
    token_ids: Sequence[int] | None = None,
    stages: Sequence[str] = ("*",),
    names: str = "reference",
    head_layout: str = "heads",
) -> Fixture:
    """Run a prompt and take the stages that the patterns choose.

    Raises StageError where a pattern chooses nothing that the convention has a name for, or the model is no GPT-2.
    """
    if head_layout != "heads" and names != "reference":
        raise StageError(f"--head-layout {head_layout} is the reference's: use it with --names reference")
    if model.config.model != "gpt2":
        raise StageError(f"fixtures are of a GPT-2, and this model is a {model.config.model}: choose other --weights")
    chosen = choose(stages, naming.Known(names, model.config.n_layer), model)
    run = Run(model, model.run(prompt, token_ids=token_ids), names, head_layout)
    arrays, about = {}, []
    for entry in chosen:
        for name in entry.names:
            if name not in arrays:
                arrays[name] = array = run.array(entry)
                about.append(run.about(entry, name, array))
    whole = dump.manifest(run.trace, head_layout)
    unwanted = ("stages", "predicted_token", "overridden")
    manifest = {key: value for key, value in whole.items() if key not in unwanted}
    masked = str(CONVENTIONS[names].masked)
    return Fixture(arrays, manifest | {"names": names, "masked": masked, "arrays": about})


def choose(patterns: Sequence[str], known: naming.Known, model: Model) -> list[naming.Entry]:
    """The stages of a model that fit any pattern, by our name or the convention's, and have a name there."""
    held = {step.name for step in model.steps} | set(model.weights)
    everything = [entry for entry in naming.entries(known) if entry.of in held]
    chosen = set()
    for pattern in patterns:
        fitting = [
            entry
            for entry in everything
            if any(fnmatchcase(name, pattern) for name in (entry.stage, *entry.names, *entry.aliases))
        ]
        if not fitting:
            raise StageError(f"no stage is called {pattern!r}; {_like(pattern, everything)}")
        named = {entry.stage for entry in fitting if entry.names}
        if not named:
            raise StageError(_lacking(fitting[0], known.convention))
        chosen |= named
    return [entry for entry in everything if entry.stage in chosen]


def _like(pattern: str, everything: Sequence[naming.Entry]) -> str:
    names = [name for entry in everything for name in (entry.stage, *entry.names)]
    like = get_close_matches(pattern, names, n=3) or ["block_0_*", everything[-2].stage]
    return f"did you mean {', '.join(like)}? `sheetgpt stages` lists them"


def _lacking(entry: naming.Entry, convention: str) -> str:
    others = [name for name in CONVENTIONS if entry.row.cell(name)]
    if not others:
        return f"{entry.stage} is text, which fixtures don't hold: their manifest has the tokens"
    return f"{convention} has no name for {entry.stage}: leave it out, or use --names {' or '.join(others)}"


@dataclass(frozen=True)
class Run:
    """A prompt's run, and its stages as a convention has them."""

    model: Model
    trace: forward.Trace
    names: str
    head_layout: str

    def array(self, entry: naming.Entry) -> np.ndarray:
        """The stage under the convention's axes."""
        matrix, axes = self._matrix(entry)
        if entry.row.stage.endswith("_step_6") and self.names != "reference":
            ahead = np.tile(self.trace.array("triangle_matrix") < 0, (1, self.trace.config.n_head))
            matrix = np.where(ahead, matrix.dtype.type(CONVENTIONS[self.names].masked), matrix)
        if self.head_layout == "reference" and entry.axes == "T (H K)":
            return frames.to_reference_heads(matrix, self.trace.config.n_head, self.trace.config.head_size)
        array = rearrange(matrix, axes, entry.axes, self.trace.config.n_head)
        if entry.stage == "final_tokens" and self.names == "llm-viz":  # it holds ids as it holds everything
            array = array.astype(self.trace.dtype)
        return np.ascontiguousarray(array)

    def _matrix(self, entry: naming.Entry) -> tuple[np.ndarray, str]:
        """(a matrix of our run, its axes), with every row of the final stages where the convention holds them."""
        how, of = entry.row.made.partition(" ")[0], entry.of
        if how == "first":
            return self.model.weights[of][: len(self.trace.token_ids)], "T d"
        if how == "softmax":
            return ops.Softmax().value(self.every_row[of].T), "T V"
        if how == "deviation":
            rows = self.every_row[of]
            return ops.Normalize.deviation(rows - ops.row_means(rows)), "T 1"
        if of in HEAD_STAGES and entry.axes != entry.row.axes and "last" not in entry.axes:
            return self.every_row[of], entry.row.axes.replace("last", "T")
        matrix = self.trace.array(of)
        return (matrix[None] if matrix.ndim == 1 else matrix), entry.row.axes

    @cached_property
    def every_row(self) -> Mapping[str, np.ndarray]:
        """The same run, with a prediction after every token."""
        arrays = self.trace.arrays
        return forward.forward(
            steps.gpt2(self.model.config, untied=self.model.weights.untied, every_row=True),
            self.model.weights,
            {name: arrays[name] for name in steps.INPUTS},
            dtype=self.trace.dtype,
            base={name: array for name, array in arrays.items() if name not in HEAD_STAGES},
        )

    def about(self, entry: naming.Entry, name: str, array: np.ndarray) -> dict:
        if entry.row.made:
            title = f"{entry.row.made.rpartition(' ')[0]} {entry.of}"
        else:
            title = self.trace.step(entry.stage).title if entry.stage in self.trace else entry.stage
        return {
            "name": name,
            "stage": entry.stage,
            "title": title,
            "shape": list(array.shape),
            "axes": entry.axes,
            "dtype": array.dtype.name,
            "sha256": checksum(array),
        }


# ------------------------------------------------------------------------------------------------ reading


class Matrices(Mapping):
    """A file's arrays as our matrices [rows, columns], by our stages' names, each read when it is asked for."""

    def __init__(self, arrays: Arrays):
        self.arrays = arrays
        known = self._known()
        self._found: dict[str, tuple[str, naming.Entry]] = {}
        for entry in naming.entries(known):
            # subtle: without a manifest the last block in the file need not be the model's last
            names = () if not arrays.manifest and _is_last(entry, known) else entry.names
            name = next((name for name in names + entry.aliases if name in arrays), None)
            if name and entry.row.axes:
                self._found[entry.stage] = name, entry
        self.convention = known.convention

    def _known(self) -> naming.Known:
        """What the manifest says; without one, what the names say."""
        manifest, path = self.arrays.manifest, self.arrays.path
        if manifest:
            try:
                return naming.Known(CONVENTIONS[manifest["names"]].name, int(manifest["constants"]["n_layer"]))
            except (KeyError, TypeError, ValueError):
                raise DumpError(
                    f"{path} has a manifest that is none of ours: write the file again, or drop it"
                ) from None
        known = naming.recognise(self.arrays)
        if known is None:
            raise DumpError(f"{path} holds no array that is called like a stage: `sheetgpt stages` lists the names")
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, stage: object) -> bool:
        return stage in self._found

    def __getitem__(self, stage: str) -> np.ndarray:
        name, entry = self._found[stage]
        array = self.arrays[name]
        if array.ndim == len(entry.axes.split()) and entry.axes.startswith("1 ") and self.convention != "reference":
            array = array[:1]  # of a batch the first prompt
        if entry.axes == entry.row.axes:  # in our own shape, or in a layout that `setting` knows
            return array
        matrix = rearrange(array, entry.axes, entry.row.axes)
        if matrix is None:
            shape = " x ".join(map(str, array.shape))
            raise DumpError(
                f"{self.arrays.path}, {name} is {shape}, which doesn't fit its axes {entry.axes}: correct it"
            )
        return matrix


def _is_last(entry: naming.Entry, known: naming.Known) -> bool:
    """Is its name the last block's?"""
    cell = entry.row.cell(known.convention)
    return cell is not None and any("{last}" in name for name in cell.names)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Every stage in a file, whichever convention it is in, by our name and as our dumps have it."""
    return dict(Matrices(load(Path(path))))


class FixtureSource(NpzSource):
    """A side of `diff`: a file of arrays in any convention."""

    def __init__(self, path: Path):
        self.label = str(path)
        self._arrays = Matrices(load(path))
        self.names = list(self._arrays)
        self.about = self._arrays.arrays.manifest


def source(path: Path) -> NpzSource:
    """A file of arrays as a side; an .npz of our own names without a manifest may hold them in any layout."""
    if path.suffix.lower() == ".npz":
        plain = NpzSource(path) if _is_plain(path) else None
        return plain or FixtureSource(path)
    return FixtureSource(path)


def _is_plain(path: Path) -> bool:
    try:
        arrays = load(path)
    except DumpError:
        return True  # it says better what is wrong
    known = naming.recognise(arrays)
    return not arrays.manifest and (known is None or known.convention == "reference")
