"""`sheetgpt check`: every way a folder can be wrong or odd is named, with the remedy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from checkpoints import CONFIG, contents, ours, write_csvs
from command_line import sheetgpt_here
from models import random_matrices
from sheetgpt import load_model
from sheetgpt.bpe import write_tables
from sheetgpt.bpe.tables import WAY_OUT
from sheetgpt.errors import SheetGPTError, WeightsError
from sheetgpt.files.journal import UNFINISHED
from sheetgpt.models.config import Config
from sheetgpt.training.documents import character_tables
from sheetgpt.weights.check import check
from sheetgpt.weights.figures import significant_digits
from sheetgpt.weights.folder import write_weights

MATRICES = random_matrices(CONFIG)


@pytest.fixture
def folder(tmp_path):
    return write_csvs(tmp_path / "model", MATRICES)


def found(folder, level=None):
    return [f"{f.file}: {f.what}" for f in check(folder).findings if level in (None, f.level)]


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


def test_a_whole_model_has_no_findings(folder):
    report = check(folder)
    assert report.findings == []
    assert report.config == CONFIG
    assert [figures.name for figures in report.matrices] == list(MATRICES)


def test_the_figures_are_those_of_numpy(folder):
    for figures in check(folder).matrices:
        matrix = MATRICES[figures.name].astype(np.float64)
        assert (figures.rows, figures.columns) == matrix.shape
        np.testing.assert_allclose(
            [figures.mean, figures.deviation, figures.minimum, figures.maximum],
            [matrix.mean(), matrix.std(), matrix.min(), matrix.max()],
            rtol=1e-6,
            atol=1e-7,
        )
        assert figures.zeros == 0


def test_zeros_and_outlier_channels_are_counted(tmp_path):
    matrices = random_matrices(CONFIG)
    matrices["model_wte"][:5, 0] = 0
    figures = check(write_csvs(tmp_path / "model", matrices)).matrices[0]
    assert (figures.zeros, figures.outliers) == (5, [])
    wide = Config(1, 1, 64, 4, 30)
    matrices = random_matrices(wide)
    matrices["model_wte"][:, 7] *= 60
    write_weights(tmp_path / "wide", wide, matrices)
    assert check(tmp_path / "wide").matrices[0].outliers == [7]


def test_blocks_make_no_difference(folder, monkeypatch):
    from sheetgpt.files import decimals

    whole = check(folder)
    monkeypatch.setattr(decimals, "BLOCK_BYTES", 300)
    parts = check(folder)
    for a, b in zip(whole.matrices, parts.matrices, strict=True):
        np.testing.assert_allclose(a.deviation, b.deviation)
        assert (a.minimum, a.outliers) == (b.minimum, b.outliers)


HEADER = b",".join(b"%d" % i for i in range(12)) + b"\n"
AGAIN = "get or convert the model again"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda d: (d / "model_h1_ln_1_g.csv").unlink(), "model_h1_ln_1_g.csv: is missing"),
        (lambda d: shutil.copy(d / "model_wpe.csv", d / "model_h2_ln_1_g.csv"), "model_h2_ln_1_g.csv: belongs to no"),
        (lambda d: rewrite(d / "model_wpe.csv", lambda t: t[:-60]), "model_wpe.csv: row 16 has "),
        (lambda d: rewrite(d / "model_wpe.csv", lambda t: t + t), "model_wpe.csv: is 32 x 12, not 16 x 12"),
        (
            lambda d: rewrite(d / "model_wpe.csv", lambda t: HEADER + t),
            "model_wpe.csv: row 1 is a header (0, 1, 2, ...)",
        ),
        (
            lambda d: rewrite(d / "model_wpe.csv", lambda t: b"nan" + t[t.index(b",") :]),
            "model_wpe.csv: row 1, column 1 ho",
        ),
        (
            lambda d: rewrite(d / "model_wpe.csv", lambda t: b"-inf" + t[t.index(b",") :]),
            "model_wpe.csv: row 1, column 1 ",
        ),
        (lambda d: rewrite(d / "model_wpe.csv", lambda _: b""), "model_wpe.csv: holds no numbers"),
        (
            lambda d: (d / "constants.csv").write_text("n_layer,2\n"),
            "constants.csv: has no n_head, n_embd, n_ctx, n_vocab",
        ),
        (
            lambda d: (d / "constants.csv").write_text("n_layers,2\n"),
            "constants.csv: row 1: unknown constant 'n_layers'",
        ),
        (lambda d: (d / UNFINISHED).write_text("x"), f"{UNFINISHED}: the folder is unfinished: writing it was"),
        (lambda d: (d / "vocab_bpe.csv").unlink(), "vocab_bpe.csv: is missing"),
        (
            lambda d: rewrite(d / "bpe_token_ids.csv", lambda t: t.replace(b"he,", b"eh,")),
            "bpe_token_ids.csv: has no row for 2 tok",
        ),
        (
            lambda d: rewrite(d / "bpe_token_ids.csv", lambda t: t + b"more,262\n"),
            "bpe_token_ids.csv: has 263 tokens, the model 262 rows of embeddings",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(folder, change, finding):
    change(folder)
    wrong = found(folder, "wrong")
    assert any(text.startswith(finding) for text in wrong), wrong
    assert all(f.remedy for f in check(folder).findings)


def refusal(folder):
    with pytest.raises(SheetGPTError) as error:
        load_model(folder)
    return error.value


@pytest.mark.parametrize(
    ("change", "where", "what", "remedy"),
    [
        (lambda d: (d / "model_wpe.csv").unlink(), "", "has no model_wpe.csv", f"{AGAIN}, or correct constants.csv"),
        (
            lambda d: rewrite(d / "model_wpe.csv", lambda t: HEADER + t),
            "/model_wpe.csv, row 1",
            "is a header (0, 1, 2, ...)",
            "weight files have none; delete it",
        ),
        (
            lambda d: rewrite(d / "bpe_token_ids.csv", lambda t: t.replace(b" the,258", b"1-Mar,258")),
            "/bpe_token_ids.csv, line 259:",
            "'1-Mar' is a date that a spreadsheet made of a token (line 259 should be ' the')",
            WAY_OUT,
        ),
    ],
)
def test_a_refusal_says_in_fields_where_it_is_what_it_is_and_the_way_out(folder, change, where, what, remedy):
    change(folder)
    error = refusal(folder)
    assert (error.where, error.what, error.remedy) == (f"{folder}{where}", what, remedy)
    finding = next(finding for finding in check(folder).findings if finding.level == "wrong")
    assert finding.remedy in (remedy, AGAIN)
    assert finding.file == (Path(where.partition(",")[0]).name or "model_wpe.csv")


def excel(text):
    return b"\xef\xbb\xbf" + text.replace(b",", b";").replace(b".", b",").replace(b"\n", b";\r\n")


def test_separators_of_a_spreadsheet_program_are_odd_but_read(folder):
    before = check(folder)
    rewrite(folder / "model_wte.csv", excel)
    after = check(folder)
    assert after.matrices == before.matrices
    what = (
        "was saved by a spreadsheet program (a byte order mark, CRLF line ends, `;` between numbers, "
        "separators behind the last number)"
    )
    assert [(f.level, f.file, f.what) for f in after.findings] == [("odd", "model_wte.csv", what)]


@pytest.mark.parametrize("digits", [3, 5])
def test_numbers_that_a_spreadsheet_program_rounded_are_wrong(folder, digits):
    rounded = "".join(",".join(f"{x:.{digits}g}" for x in row) + "\r\n" for row in MATRICES["model_wte"])
    (folder / "model_wte.csv").write_bytes(rounded.encode())
    assert found(folder, "wrong") == [
        "model_wte.csv: 100% of its numbers have at most 6 digits: a spreadsheet program rounded them"
    ]


def test_small_numbers_in_a_spreadsheets_notation_are_recognised(folder):
    small = "".join(",".join(f"{x / 1e5:.5E}" for x in row) + "\n" for row in MATRICES["model_wte"])
    (folder / "model_wte.csv").write_text(small)
    assert found(folder) == [
        "model_wte.csv: 100% of its numbers have at most 6 digits: a spreadsheet program rounded them",
        "model_wte.csv: was saved by a spreadsheet program (numbers such as 1.5E-05)",
    ]


def test_round_numbers_without_a_trace_are_odd(folder):
    rounded = "".join(",".join(f"{x:.2f}" for x in row) + "\n" for row in MATRICES["model_wte"])
    (folder / "model_wte.csv").write_text(rounded)
    assert found(folder, "wrong") == []
    assert found(folder, "odd")[0] == "model_wte.csv: 100% of its numbers have at most 6 digits: were they rounded?"


@pytest.mark.parametrize("kind", [np.float16, "brain"])
def test_half_precision_is_not_taken_for_rounded(tmp_path, kind):
    if kind == "brain":
        halves = {name: (m.view(np.uint32) >> 16 << 16).view(np.float32) for name, m in MATRICES.items()}
    else:
        halves = {name: m.astype(kind).astype(np.float32) for name, m in MATRICES.items()}
    assert found(write_csvs(tmp_path / "model", halves)) == []


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(b"01. Feb", "a date"), (b"#NAME?", "an error value"), (b"12:30", "a time"), (b"3-Jan", "a date")],
)
def test_cells_that_a_spreadsheet_program_mangled_are_named_as_such(folder, cell, kind):
    rewrite(folder / "model_wpe.csv", lambda t: cell + t[t.index(b",") :])
    finding = check(folder).findings[0]
    assert (
        finding.what == f"row 1, column 1 holds {cell.decode()!r}, {kind} that a spreadsheet program made of a number"
    )
    assert finding.remedy == "get or convert the model again, and don't save it with a spreadsheet program"


def test_tokens_that_a_spreadsheet_program_mangled_are_named_by_line(folder):
    rewrite(folder / "bpe_token_ids.csv", lambda t: t.replace(b" the,258", b"1-Mar,258"))
    assert found(folder, "wrong")[0].startswith(
        "bpe_token_ids.csv: line 259: '1-Mar' is a date that a spreadsheet made"
    )


def test_constant_and_repeated_rows_are_odd(tmp_path):
    matrices = random_matrices(CONFIG)
    matrices["model_wte"][[3, 9, 20]] = 0
    matrices["model_wte"][30] = matrices["model_wte"][25]
    matrices["model_wpe"][:] = 0.123456789
    matrices["model_h0_ln_1_b"][:] = 0  # one row: a bias that begins at zero is usual
    folder = write_csvs(tmp_path / "model", matrices)
    assert found(folder, "wrong") == []
    assert found(folder, "odd") == [
        "model_wte.csv: has 3 rows of one number, such as row 4",
        "model_wte.csv: has 1 rows that stand there before: row 31 is row 26 again",
        "model_wpe.csv: holds the same number all along each row",
    ]


def test_a_missing_tokenizer_and_padding_are_odd(tmp_path):
    config = Config(1, 1, 64, 4, 264)
    write_weights(tmp_path / "model", config, random_matrices(config))
    assert found(tmp_path / "model") == ["bpe_token_ids.csv: is missing: no text can be read"]
    for name, data in contents(write_csvs(tmp_path / "other", MATRICES)).items():
        if "bpe" in name:
            (tmp_path / "model" / name).write_bytes(data)
    (tmp_path / "model" / "constants.csv").unlink()
    assert found(tmp_path / "model") == [
        "constants.csv: is missing: the head size is taken to be the reference's, 64",
        "bpe_token_ids.csv: has 262 tokens, the model 264 rows of embeddings: the rest is padding",
    ]


def test_a_model_of_characters_is_whole_without_tokens_for_all_bytes(tmp_path):
    tables = character_tables("abc é\nü")
    config = Config(1, 1, 4, 8, len(tables[1]))
    write_weights(tmp_path, config, random_matrices(config))
    write_tables(tmp_path, *tables)
    assert found(tmp_path) == []


def test_tokens_that_no_merge_makes_are_odd(folder):
    rewrite(folder / "bpe_token_ids.csv", lambda t: t.replace(b"<|endoftext|>", b"<|pad|>"))
    assert found(folder) == [
        "bpe_token_ids.csv: has 1 tokens that no merge makes, such as '<|pad|>': they never come out of a text"
    ]


def test_digits_are_counted_from_the_first_to_the_last_that_tells_something():
    counted = [significant_digits(cell) for cell in (b"0.0012300", b"-5.0", b"1e-7", b"1.25E+3", b"-0.0", b"x")]
    assert counted == [3, 1, 1, 3, 0, 0]


def test_the_command_shows_a_table_and_ends_well_or_with_1(folder):
    done = sheetgpt_here("check", folder)
    numbers = sum(matrix.size for matrix in MATRICES.values())
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"Whole and sane: 28 matrices, {numbers:,} numbers"
    assert done.out.splitlines()[1].split()[:4] == ["model_wte", "262", "x", "12"]
    (folder / "model_h1_ln_2_b.csv").unlink()
    rewrite(folder / "model_wpe.csv", excel)
    done = sheetgpt_here("check", folder)
    assert done.code == 1
    assert "WRONG  model_h1_ln_2_b.csv: is missing\n       -> get or convert the model again\n" in done.out
    assert done.out.splitlines()[-1].startswith("1 wrong, 1 odd: 27 matrices, ")


def test_json_holds_everything(folder):
    (folder / "model_h1_ln_2_b.csv").unlink()
    done = sheetgpt_here("check", folder, "--json")
    data = json.loads(done.out)
    assert (done.code, data["sane"]) == (1, False)
    assert data["constants"] == dict(CONFIG.rows())
    assert data["findings"] == [
        {"level": "wrong", "file": "model_h1_ln_2_b.csv", "what": "is missing", "remedy": AGAIN}
    ]
    assert len(data["matrices"]) == 27
    assert set(data["matrices"][0]) == {
        "name", "rows", "columns", "mean", "deviation", "minimum", "maximum", "zeros", "outliers",
    }  # fmt: skip


def test_no_folder_is_an_error_and_an_empty_one_is_wrong(tmp_path):
    with pytest.raises(WeightsError, match="is no folder: name the folder that holds the model's CSVs"):
        check(tmp_path / "none")
    assert sheetgpt_here("check", tmp_path / "none").code == 2
    done = sheetgpt_here("check", tmp_path)
    assert done.code == 1
    assert "constants.csv: the folder has no model_wte.csv, so it holds no model" in done.out


def test_the_model_that_ships_is_whole_and_sane():
    from sheetgpt.weights.folder import embedded_folder

    assert check(embedded_folder()).findings == []


def test_tokens_are_spelled_with_spaces(folder):
    assert ours("Ġthe") + ",258" in (folder / "bpe_token_ids.csv").read_text(encoding="utf-8")
