"""The table of conventions: whole, in the order of the steps, and each shape there and back without loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import sheetgpt
from sheetgpt.commands import stages
from sheetgpt.fixtures import axes
from sheetgpt.fixtures import entries as naming
from sheetgpt.fixtures.table import CONVENTIONS, HOOKED_TRANSFORMER, TABLE
from sheetgpt.models.config import POSITIONS, Config
from sheetgpt.models.gpt2 import gpt2

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "stages.md"
CELLS = [(row, name, row.cell(name)) for row in TABLE for name in CONVENTIONS if row.cell(name)]


def own_rows():
    return [row.stage for row in TABLE if not row.made]


@pytest.mark.parametrize("position", POSITIONS)
def test_the_table_holds_every_step_in_the_order_of_the_list(position):
    steps = [step.name for step in gpt2(Config(3, 2, 4, 8, 16, position))]
    named = [entry.stage for entry in naming.entries(naming.Known("reference", 3)) if not entry.row.made]
    assert [name for name in named if name in steps] == steps


def test_every_row_of_the_table_is_a_step_or_is_made_of_one():
    steps = {step.name for position in POSITIONS for step in gpt2(Config(1, 2, 4, 8, 16, position))}
    for entry in naming.entries(naming.Known("reference", 1)):
        assert entry.of in steps | {"model_wpe"}, entry.stage


def test_the_reference_names_every_stage_that_is_a_matrix_as_we_do():
    text = {"separated_into_words", "prompt_to_tokens"}
    assert {row.stage for row in TABLE if row.cell("reference")} == set(own_rows()) - text


@pytest.mark.parametrize("names", CONVENTIONS)
def test_a_name_belongs_to_one_matrix_only(names):
    """The last block's output is the last hidden state, the first block's input the embeddings: one name for both."""
    seen = {}
    for entry in naming.entries(naming.Known(names, 3)):
        for name in (*entry.names, *entry.aliases):
            seen.setdefault(name, []).append(entry.stage)
    shared = {tuple(stages) for stages in seen.values() if len(stages) > 1}
    assert shared <= {("block_2_step_16", "last_hidden_state"), ("position_embeddings", "block_0_step_1")}


@pytest.mark.parametrize("names", CONVENTIONS)
@pytest.mark.parametrize("n_layer", [1, 2, 12])
def test_a_convention_is_recognised_by_its_names(names, n_layer):
    written = [name for entry in naming.entries(naming.Known(names, n_layer)) for name in entry.names]
    assert naming.recognise(written) == naming.Known(names, n_layer)


def test_the_hidden_states_alone_tell_how_many_blocks_there_are():
    assert naming.recognise(f"hidden_states.{i}" for i in range(13)).n_layer == 12


def test_names_that_nobody_uses_are_not_recognised():
    assert naming.recognise(["weights", "block_x", "layer.0"]) is None


def test_exceptions_of_the_old_transformerlens_are_rows_of_the_table():
    assert set(HOOKED_TRANSFORMER) <= {row.stage for row in TABLE if row.transformerlens}


# ------------------------------------------------------------------------------------------------ axes


def full_axes(row) -> str:
    if row.made:
        return {"first": "T d", "deviation": "T 1", "softmax": "T V"}[row.made.partition(" ")[0]]
    return row.axes


@given(
    heads=st.integers(1, 4),
    size=st.integers(1, 4),
    tokens=st.integers(1, 5),
    vocabulary=st.integers(1, 6),
    data=st.data(),
)
def test_every_cells_shape_goes_there_and_back(heads, size, tokens, vocabulary, data):
    row, _, cell = data.draw(st.sampled_from(CELLS))
    sizes = {"T": tokens, "K": tokens, "H": heads, "s": size, "d": heads * size, "V": vocabulary, "1": 1, "2": 2}
    sizes |= {"last": 1, "3d": 3 * heads * size, "4d": 4 * heads * size}
    own = full_axes(row)
    all_rows = own if "last" in cell.axes else own.replace("last", "T")
    shape = [int(np.prod([sizes[letter] for letter in axis])) for axis in axes.parse(all_rows)]
    matrix = np.arange(np.prod(shape)).reshape(shape)
    there = axes.rearrange(matrix, all_rows, cell.axes, heads)
    assert there.shape == tuple(int(np.prod([sizes[letter] for letter in axis])) for axis in axes.parse(cell.axes))
    assert sorted(there.ravel()) == sorted(matrix.ravel())
    back = axes.rearrange(there, cell.axes, own)
    expected = matrix if own == all_rows else axes.rearrange(matrix, all_rows, own)
    np.testing.assert_array_equal(back, expected)


def test_heads_stand_where_torch_puts_them():
    queries = np.arange(24).reshape(4, 6)  # 4 tokens, 3 heads of 2
    by_head = queries.reshape(4, 3, 2).transpose(1, 0, 2)
    np.testing.assert_array_equal(axes.rearrange(queries, "T (H s)", "1 H T s", 3), by_head[None])
    np.testing.assert_array_equal(axes.rearrange(by_head, "1 H T s", "T (H s)"), queries)  # the batch axis may lack
    scores = np.arange(48).reshape(4, 12)
    under = scores.reshape(4, 3, 4).transpose(1, 0, 2).reshape(12, 4)
    np.testing.assert_array_equal(axes.rearrange(scores, "T (H K)", "(H T) K", 3), under)
    np.testing.assert_array_equal(axes.rearrange(under, "(H T) K", "T (H K)"), scores)


@pytest.mark.parametrize(
    ("shape", "source", "target"),
    [
        ((3, 4), "1 T d", "V last"),
        ((2, 3, 4), "1 T d", "T d"),
        ((1, 2, 3, 4), "1 H T K", "T (H K)"),
        ((7, 2), "(H T) K", "T (H K)"),
        ((2, 3, 4, 5), "1 T d", "T d"),
        ((0, 0), "(H T) K", "T (H K)"),
    ],
)
def test_a_shape_that_does_not_fit_is_told(shape, source, target):
    assert axes.rearrange(np.zeros(shape), source, target) is None


# ------------------------------------------------------------------------------------------------ sheetgpt stages


def test_the_command_offers_every_convention():
    assert tuple(CONVENTIONS) == stages.NAMES


def test_the_documentation_is_what_the_command_prints():
    remedy = "run `sheetgpt stages --markdown > docs/stages.md`"
    assert DOCUMENT.read_text(encoding="utf-8") == stages.as_markdown(stages.as_data()), remedy


def test_stages_shows_our_names_beside_the_others():
    out = sheetgpt("stages").out
    line = next(line for line in out.splitlines() if line.startswith("block_{i}_step_7"))
    assert "attention weights" in line
    for name in ("[T, H*T]", "blocks.{i}.attn.hook_pattern", "attentions.{i}", "block{i}_softmaxOutputBuffer", "attSm"):
        assert name in line


@pytest.mark.parametrize("names", CONVENTIONS)
def test_stages_shows_one_conventions_names_and_shapes(names):
    out = sheetgpt("stages", "--names", names).out
    assert CONVENTIONS[names].title in out
    for row, convention, cell in CELLS:
        if convention == names:
            line = next(line for line in out.splitlines() if line.split(" ")[0] == row.stage)
            assert axes.shape_text(cell.axes) in line
            assert all(name in line for name in cell.names)


def test_stages_as_json_tells_names_aliases_and_shapes():
    data = json.loads(sheetgpt("stages", "--json").out)
    step = next(stage for stage in data["stages"] if stage["stage"] == "block_{i}_step_5_queries")
    assert step["names"]["transformerlens"] == {
        "names": ["blocks.{i}.attn.hook_q"],
        "also_read": ["blocks.{i}.attn.q.hook_out"],
        "shape": "[1, T, H, s]",
    }
    assert [convention["name"] for convention in data["conventions"]] == list(CONVENTIONS)


def test_an_unknown_convention_is_one_line():
    assert "'nanogpt' is not one of 'reference', 'transformerlens'" in sheetgpt("stages", "--names", "nanogpt").error
