"""Weights out of a workbook: where a map says, whole or by pieces, the doubles that the cells hold."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest

from foreign_book import weights_map
from sheetgpt.cli import main
from sheetgpt.convert import convert
from sheetgpt.errors import ConvertError
from sheetgpt.weights.folder import load_weights
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.maps import COLUMNS, CUTS, write_map

SHAPES = {"model_wte": (7, 8), "model_wpe": (5, 8), "model_ln_f_g": (1, 8), "model_ln_f_b": (1, 8)}
BLOCK = {
    "ln_1_g": (1, 8),
    "ln_1_b": (1, 8),
    "attn_c_attn_w": (8, 24),
    "attn_c_attn_b": (1, 24),
    "attn_c_proj_w": (8, 8),
    "attn_c_proj_b": (1, 8),
    "ln_2_g": (1, 8),
    "ln_2_b": (1, 8),
    "mlp_c_fc_w": (8, 32),
    "mlp_c_fc_b": (1, 32),
    "mlp_c_proj_w": (32, 8),
    "mlp_c_proj_b": (1, 8),
}
MODEL = SHAPES | {f"model_h0_{name}": shape for name, shape in BLOCK.items()}


def random_model(rng):
    """Doubles of 16 digits, as many as openpyxl writes."""
    written = np.vectorize(lambda number: float(f"{number:.16g}"))
    return {name: written(rng.standard_normal(shape)) for name, shape in MODEL.items()}


def pieces_of(shape, rng):
    """The spans of columns of some pieces of a matrix, all of them together."""
    if shape[1] < 4 or rng.integers(2):
        return [None]
    middle = int(rng.integers(1, shape[1]))
    return [(0, middle - 1), (middle, shape[1] - 1)]


def written(model, path, rng, *, cell=None):
    """A workbook with every matrix somewhere, turned or not, whole or in two pieces; and its map."""
    book, rows = openpyxl.Workbook(), [COLUMNS + CUTS]
    for number, (name, matrix) in enumerate(model.items()):
        sheet, row = book.create_sheet(f"tab {number}"), 2
        for span in pieces_of(matrix.shape, rng):
            turned, piece = bool(rng.integers(2)), matrix if span is None else matrix[:, span[0] : span[1] + 1]
            shown = piece.T if turned else piece
            for at, column in np.ndindex(shown.shape):
                sheet.cell(row + at + 1, column + 4, float(shown[at, column]))
            area = Area("", row, 3, *shown.shape).range()
            columns = "" if span is None else f"{span[0]}-{span[1]}"
            rows.append((name, f"tab {number}", area, "yes" if turned else "no", "", "", columns))
            row += shown.shape[0] + 1
        if cell is not None and name == cell[0]:
            sheet["D3"].value = cell[1]
    book.save(path)
    write_map(path.with_suffix(".csv"), rows)
    return path.with_suffix(".csv")


@pytest.mark.parametrize("seed", range(4))
def test_every_matrix_is_read_where_the_map_says_and_its_doubles_stay_what_they_are(seed, tmp_path):
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    map_file = written(model, tmp_path / "book.xlsx", rng)
    done = convert(str(tmp_path / "book.xlsx"), tmp_path / "csv", n_head=2, map_file=map_file)
    assert dict(done.config.rows()) | {"n_layer": 1, "n_head": 2, "n_ctx": 5} == dict(done.config.rows())
    held = load_weights(tmp_path / "csv", "float64")
    assert set(held) == set(model)
    for name, matrix in model.items():
        assert np.array_equal(held[name], matrix), name


def test_the_weights_of_a_workbook_of_others_are_those_that_stand_in_its_cells(shared, tmp_path):
    foreign = shared / "data" / "foreign"
    map_file = weights_map(tmp_path / "weights.csv")
    convert(str(foreign / "NanoGPT-Excel.xlsx"), tmp_path / "book", n_head=3, map_file=map_file)
    convert(str(foreign / "nano_weights.npz"), tmp_path / "npz")
    found, expected = load_weights(tmp_path / "book", "float64"), load_weights(tmp_path / "npz", "float64")
    assert set(found) == set(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def refused(book, map_file, tmp_path, n_head=2):
    with pytest.raises(ConvertError) as error:
        convert(str(book), tmp_path / "csv", n_head=n_head, map_file=map_file)
    assert not list((tmp_path / "csv").glob("*.csv")) or "needs a number" in str(error.value)
    return str(error.value)


def test_without_a_map_a_workbook_is_refused_with_that_way_out(tmp_path, capsys):
    written(random_model(np.random.default_rng(0)), tmp_path / "book.xlsx", np.random.default_rng(0))
    with pytest.raises(SystemExit) as end:
        main(["convert-weights", str(tmp_path / "book.xlsx"), str(tmp_path / "csv")])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "book.xlsx is a workbook: say where its weights stand with --map WEIGHTS.csv" in said
    assert said.count("\n") == 1


def test_a_map_is_for_workbooks_only(tmp_path):
    np.savez(tmp_path / "model.npz", **random_model(np.random.default_rng(0)))
    assert "is no workbook: --map says where weights stand" in refused(tmp_path / "model.npz", tmp_path / "m", tmp_path)


@pytest.mark.parametrize(
    ("held", "said"),
    [("words", "holds 'words', no number"), (None, "is blank"), (True, "holds True, no number"), ("nan", "no number")],
)
def test_a_cell_without_a_number_is_named(held, said, tmp_path):
    rng = np.random.default_rng(1)
    cell = ("model_h0_mlp_c_proj_w", held)
    map_file = written(random_model(rng), tmp_path / "book.xlsx", rng, cell=cell)
    message = refused(tmp_path / "book.xlsx", map_file, tmp_path)
    assert said in message
    assert "!D3 (R3C4)" in message
    assert "model_h0_mlp_c_proj_w needs a number there" in message


def without(rows, name):
    return [row for row in rows if row[0] != name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: without(rows, "model_h0_ln_2_g"), "has no model_h0_ln_2_g"),
        (lambda rows: without(rows, "model_wte"), "has no matrix model_wte: a map of weights holds"),
        (lambda rows: [*rows, ("block_0_step_1", *rows[1][1:])], "no weight is called 'block_0_step_1'"),
        (
            lambda rows: [rows[0], (*rows[1][:6], "1-8"), *rows[2:]],
            "says where model_wte has its row 0, column 0",
        ),
        (lambda rows: [rows[0], *[(name, "no tab", *rest) for name, _, *rest in rows[1:]]], "has no tab 'no tab'"),
    ],
)
def test_a_map_that_misses_or_mistakes_a_matrix_is_refused_by_name(change, said, tmp_path):
    rng = np.random.default_rng(3)
    model = random_model(rng)

    class Whole:
        @staticmethod
        def integers(*_args):
            return 1  # whole, turned

    map_file = written(model, tmp_path / "book.xlsx", Whole)
    rows = [tuple(line.split(",")) for line in map_file.read_text().splitlines()]
    write_map(map_file, change(rows))
    assert said in refused(tmp_path / "book.xlsx", map_file, tmp_path)


def test_the_number_of_heads_is_asked_for_where_nothing_says_it(tmp_path):
    rng = np.random.default_rng(4)
    map_file = written(random_model(rng), tmp_path / "book.xlsx", rng)
    assert "does not tell how many heads its n_embd of 8 is split into: give --n-head N" in refused(
        tmp_path / "book.xlsx", map_file, tmp_path, n_head=None
    )
