"""The folder of CSV matrices: read as the reference has it, refused in one line where it is not whole."""

import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from command_line import KILLED_WHILE_WRITING
from models import ODD_HEADS, SMALL, random_matrices, write_random_model
from sheetgpt.errors import WeightsError
from sheetgpt.files import decimals
from sheetgpt.files.cache import FOLDER
from sheetgpt.files.journal import UNFINISHED, unfinished
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import matrix_shapes
from sheetgpt.weights import embedded
from sheetgpt.weights import folder as weights
from sheetgpt.weights.check import check
from sheetgpt.weights.folder import Weights, load_weights, read_config, write_weights


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    write_weights(path, SMALL, random_matrices(SMALL))
    return path


def rewrite(path, change):
    path.write_text(change(path.read_text()), newline="")


def fault(folder):
    with pytest.raises(WeightsError) as error:
        load_weights(folder)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(folder))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("untied", [False, True])
def test_what_is_written_is_read(tmp_path, dtype, untied):
    matrices = random_matrices(ODD_HEADS, untied=untied)
    write_weights(tmp_path / "m", ODD_HEADS, matrices)
    for got in (load_weights(tmp_path / "m", dtype), load_weights(tmp_path / "m", dtype)):
        assert got.config == ODD_HEADS
        assert got.untied == untied
        assert got.dtype == dtype
        assert list(got) == list(matrix_shapes(ODD_HEADS, untied))
        for name, matrix in matrices.items():
            assert not got[name].flags.writeable
            assert got[name].dtype == dtype
            assert got[name].astype(np.float32).tobytes() == matrix.tobytes()


def test_float64_is_the_decimal_as_a_double(tmp_path):
    matrices = random_matrices(SMALL)
    matrices["model_wte"][0, 0] = 0.1
    write_weights(tmp_path, SMALL, matrices)
    assert load_weights(tmp_path)["model_wte"][0, 0] == 0.1 != float(np.float32(0.1))
    assert load_weights(tmp_path, "float32")["model_wte"][0, 0] == np.float32(0.1)


def test_doubles_survive_a_folder_too(tmp_path):
    matrices = {name: matrix / np.float64(3) for name, matrix in random_matrices(SMALL).items()}
    write_weights(tmp_path, SMALL, matrices)
    got = load_weights(tmp_path)
    assert all(got[name].tobytes() == matrix.tobytes() for name, matrix in matrices.items())


def test_the_files_are_those_of_the_contract(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{name}.csv" for name in matrix_shapes(SMALL)} | {"constants.csv"}
    assert len(names) == 2 + 12 * SMALL.n_layer + 2 + 1
    assert (folder / "constants.csv").read_text() == (
        "name,value\nn_layer,2\nn_head,3\nn_embd,12\nn_ctx,16\nn_vocab,40\nposition,learned\n"
    )
    assert (folder / "model_h1_ln_2_b.csv").read_bytes().count(b"\n") == 1
    assert (folder / "model_wte.csv").read_bytes().count(b"\n") == 40


def test_a_model_without_learned_positions_has_no_wpe(tmp_path):
    config = Config(1, 2, 8, 16, 10, position="rotary")
    write_weights(tmp_path, config, random_matrices(config))
    assert not (tmp_path / "model_wpe.csv").exists()
    assert "model_wpe" not in load_weights(tmp_path)


def test_pairs_may_come_one_by_one_in_any_order(tmp_path):
    matrices = random_matrices(SMALL, untied=True)
    write_weights(tmp_path, SMALL, ((name, matrices[name]) for name in reversed(matrices)))
    assert load_weights(tmp_path, "float32").untied


def test_without_constants_it_is_read_as_the_reference_reads_it(tmp_path):
    config = Config(n_layer=2, n_head=3, n_embd=192, n_ctx=5, n_vocab=7)
    write_weights(tmp_path, config, random_matrices(config))
    (tmp_path / "constants.csv").unlink()
    assert read_config(tmp_path) == config
    load_weights(tmp_path)
    assert read_config(tmp_path) == config  # now inferred from the cache


def test_without_constants_the_big_files_are_not_parsed(tmp_path, monkeypatch):
    config = Config(n_layer=1, n_head=1, n_embd=64, n_ctx=5, n_vocab=7)
    write_weights(tmp_path, config, random_matrices(config))
    (tmp_path / "constants.csv").unlink()
    monkeypatch.setattr(decimals, "read_blocks", lambda *_: pytest.fail("parsed a matrix"))
    assert read_config(tmp_path) == config
    (tmp_path / "model_wte.csv").write_bytes(
        (tmp_path / "model_wte.csv").read_bytes().replace(b"\n", b",\r\n") + b"\r\n"
    )
    assert read_config(tmp_path) == config


def test_the_reference_run_is_read(reference_run):
    folder, _, _ = reference_run
    got = load_weights(folder, "float32")
    assert got.config == Config(n_layer=2, n_head=12, n_embd=768, n_ctx=64, n_vocab=1024)
    first = (folder / "model_h1_mlp_c_proj_w.csv").read_text().partition("\n")[0].split(",")
    assert got["model_h1_mlp_c_proj_w"][0].tolist() == [np.float32(cell) for cell in first]


def test_a_second_start_reads_no_csv(folder, monkeypatch):
    load_weights(folder)
    monkeypatch.setattr(decimals, "read_blocks", lambda *_: pytest.fail("parsed a matrix"))
    load_weights(folder)


def test_only_the_csv_that_was_edited_is_read_again(folder, monkeypatch):
    before = load_weights(folder)["model_wpe"]
    rewrite(folder / "model_wpe.csv", lambda text: "7" + text[text.index(",") :])
    parsed = []
    parse = decimals.read_blocks
    monkeypatch.setattr(decimals, "read_blocks", lambda *given: parsed.append(given[1]) or parse(*given))
    after = load_weights(folder)["model_wpe"]
    assert parsed == [str(folder / "model_wpe.csv")]
    assert after[0, 0] == 7
    np.testing.assert_array_equal(after.ravel()[1:], before.ravel()[1:])


def test_progress_counts_the_bytes_that_must_be_read(folder):
    told = []
    load_weights(folder, progress=lambda done, total: told.append((done, total)))
    total = sum(path.stat().st_size for path in folder.glob("model_*.csv"))
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    load_weights(folder, progress=lambda *_: pytest.fail("nothing was left to read"))


def test_progress_counts_the_numbers_that_are_written(tmp_path):
    told = []
    matrices = random_matrices(SMALL)
    write_weights(tmp_path, SMALL, matrices, progress=lambda done, total: told.append((done, total)))
    total = sum(matrix.size for matrix in matrices.values())
    assert told[-1] == (total, total)


def excel(text):
    """As Excel saves it where a half is written 0,5."""
    return "\ufeff" + text.replace(",", ";").replace(".", ",").replace("\n", ";\r\n")


def test_csvs_saved_by_excel_read_the_same(folder):
    before = dict(load_weights(folder))
    for path in folder.glob("model_*.csv"):
        path.write_bytes(excel(path.read_text()).encode())
    after = load_weights(folder)
    assert all(after[name].tobytes() == matrix.tobytes() for name, matrix in before.items())


def without_row(number):
    return lambda text: "".join(line for i, line in enumerate(text.splitlines(keepends=True), 1) if i != number)


def with_index(text):
    return "".join(f"{i},{line}" for i, line in enumerate(text.splitlines(keepends=True)))


HEADER = ",".join(map(str, range(12))) + "\n"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model_wpe", without_row(16), "/model_wpe.csv is 15 x 12, not 16 x 12: the file is torn; get or convert"),
        ("model_wpe", lambda text: text + text[:120], "/model_wpe.csv, row 17 "),
        ("model_wpe", lambda text: text[:-60], "/model_wpe.csv, row 16 has "),
        (
            "model_wpe",
            lambda text: HEADER + text,
            "/model_wpe.csv, row 1 is a header (0, 1, 2, ...)",
        ),
        (
            "model_wpe",
            with_index,
            "/model_wpe.csv, column 1 is an index (0, 1, 2, ...): weight files have",
        ),
        (
            "model_wpe",
            lambda _: "a,b,c\n1,2,3\n",
            "/model_wpe.csv, row 1, column 1 holds 'a': weight files have",
        ),
        (
            "model_wpe",
            lambda _: "",
            "/model_wpe.csv holds no numbers: the file is empty or torn",
        ),
        (
            "model_wpe",
            lambda text: text + text,
            "/model_wpe.csv is 32 x 12, not 16 x 12: get or convert",
        ),
        (
            "model_h0_mlp_c_fc_w",
            lambda text: "".join(
                ",".join(row) + "\n" for row in zip(*(r.split(",") for r in text.split()), strict=True)
            ),
            "/model_h0_mlp_c_fc_w.csv is 48 x 12, not 12 x 48: it is transposed; matrices are [in, out], used as x @ w",
        ),
        (
            "constants",
            lambda text: text.replace("n_layer,2", "n_layer,4"),
            " has no model_h2_ln_1_g.csv and 23 more: ",
        ),
        (
            "constants",
            lambda text: text.replace("n_vocab,40", "n_vocab,41"),
            "/model_wte.csv is 40 x 12, not 41 x",
        ),
        ("constants", lambda text: text.replace("n_head,3", "n_head,5"), ""),
    ],
)
def test_what_is_wrong_is_told_with_the_way_out(folder, name, change, message):
    rewrite(folder / f"{name}.csv", change)
    assert message in fault(folder)


def test_a_missing_matrix_is_named(folder):
    (folder / "model_h1_attn_c_proj_b.csv").unlink()
    assert fault(folder) == (
        " has no model_h1_attn_c_proj_b.csv: get or convert the model again, or correct constants.csv"
    )


def test_folders_that_hold_no_model_are_refused(tmp_path):
    assert fault(tmp_path / "none") == (
        " is no folder: name the folder that holds model_wte.csv, "
        "or one that ships with sheetgpt: embedded, rotary, sinusoidal, untrained"
    )
    assert fault(tmp_path) == " has no model_wte.csv, so it holds no model: name another folder"
    (tmp_path / "config.json").write_text("{}")
    assert "is a Hugging Face folder: first `sheetgpt convert-weights" in fault(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model_wpe.csv").unlink(), " has no model_wpe.csv: get"),
        (
            lambda folder: [path.unlink() for path in folder.glob("model_h*")],
            " has no model_h0_ln_1_g.csv: get",
        ),
        (
            lambda _: None,
            " has no constants.csv, and its n_embd 12 is no multiple of 64, the reference's head size: ",
        ),
        (
            lambda folder: rewrite(folder / "model_wte.csv", lambda text: HEADER + text),
            "/model_wte.csv, row 1 is a header",
        ),
    ],
)
def test_without_constants_a_fault_is_told_too(folder, change, message):
    (folder / "constants.csv").unlink()
    change(folder)
    assert fault(folder).startswith(message)


def test_a_block_that_is_missing_without_constants_is_named(tmp_path):
    config = Config(n_layer=3, n_head=1, n_embd=64, n_ctx=5, n_vocab=7)
    write_weights(tmp_path, config, random_matrices(config))
    for path in [tmp_path / "constants.csv", *tmp_path.glob("model_h1_*")]:
        path.unlink()
    assert fault(tmp_path).startswith(" has no model_h1_ln_1_g.csv and 11 more: ")


def test_what_the_system_refuses_is_one_line(folder):
    (folder / "model_wpe.csv").unlink()
    (folder / "model_wpe.csv").mkdir()
    assert fault(folder).startswith("/model_wpe.csv cannot be read: ")
    (folder / "constants.csv").write_bytes(b"\xff\xfe\x00")
    assert fault(folder).startswith("/constants.csv cannot be read (")


@pytest.mark.parametrize("faults", [(3, 7), (3, 4), (0, 1), (11, 15)])
def test_of_several_faults_the_first_is_told_and_ends_reading(folder, monkeypatch, faults):
    names = list(matrix_shapes(SMALL))
    first, second = (names[number] for number in faults)
    rewrite(folder / f"{first}.csv", lambda text: text + text)  # a wrong shape, which is seen after reading
    rewrite(folder / f"{second}.csv", lambda text: text.replace(",", ",x", 1))
    read, blocks = [], decimals.read_blocks

    def slowly(*given):
        read.append(given[1])
        time.sleep(0.02)
        return blocks(*given)

    monkeypatch.setattr(decimals, "read_blocks", slowly)
    assert fault(folder).startswith(f"/{first}.csv is ")
    assert len(read) <= faults[0] + 1 + 2 * weights.READERS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_progress_tells_of_every_byte_once_and_in_order(folder, dtype):
    told = []
    load_weights(folder, dtype, progress=lambda done, total: told.append((done, total)))
    sizes = sum((folder / f"{name}.csv").stat().st_size for name in matrix_shapes(SMALL))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (sizes, sizes)
    assert {total for _, total in told} == {sizes}


def test_only_two_types_are_read(folder):
    with pytest.raises(WeightsError, match="float32 or float64, not float16"):
        load_weights(folder, "float16")


def test_an_unknown_name_is_a_key_error(folder):
    got = load_weights(folder)
    assert "model_h9_ln_1_g" not in got
    assert isinstance(got, Weights)
    with pytest.raises(KeyError):
        got["model_h9_ln_1_g"]


# writing


def test_another_models_files_are_removed_and_other_files_stay(folder):
    (folder / "notes.txt").write_text("mine")
    small = Config(1, 2, 8, 4, 6)
    write_weights(folder, small, random_matrices(small))
    assert {path.name for path in folder.iterdir()} == {f"{name}.csv" for name in matrix_shapes(small)} | {
        "constants.csv",
        "notes.txt",
    }
    assert load_weights(folder).config == small


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.pop("model_h0_ln_2_g"),
            "was to be written without model_h0_ln_2_g: a model has",
        ),
        (
            lambda m: m.update(model_wpe=np.zeros((3, 4), np.float32)),
            "model_wpe is 3 x 4, not 16 x 12: it",
        ),
        (
            lambda m: m["model_wpe"].fill(np.nan),
            "model_wpe, row 1, column 1 is nan, which is no number",
        ),
    ],
)
def test_what_is_no_model_is_not_written(tmp_path, change, message):
    matrices = random_matrices(SMALL)
    change(matrices)
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "m", SMALL, iter(matrices.items()))
    assert "is unfinished, writing it was interrupted: run the command that writes it again" in fault(tmp_path / "m")


class Interrupted(Exception):  # noqa: N818 - no error: it stands for Ctrl-C
    pass


class Lazy(dict):
    """A checkpoint that breaks off after some matrices."""

    def __init__(self, matrices, after):
        super().__init__(matrices)
        self.after, self.asked = after, []

    def __getitem__(self, name):
        if len(self.asked) == self.after:
            raise Interrupted
        self.asked.append(name)
        return super().__getitem__(name)


def write(folder, matrices, source="s"):
    with unfinished(folder, source) as journal:
        write_weights(folder, SMALL, matrices, journal=journal)


def test_an_interrupted_folder_is_refused_and_the_next_call_goes_on(tmp_path):
    matrices = random_matrices(SMALL)
    with pytest.raises(Interrupted):
        write(tmp_path, Lazy(matrices, after=10))
    assert not (tmp_path / "constants.csv").exists()
    assert " is unfinished, " in fault(tmp_path)
    rest = Lazy(matrices, after=100)
    write(tmp_path, rest)
    assert rest.asked == list(matrices)[10:]
    assert not (tmp_path / UNFINISHED).exists()
    assert load_weights(tmp_path, "float32")["model_wpe"].tobytes() == matrices["model_wpe"].tobytes()


@pytest.mark.parametrize("source", ["another", ""])
def test_another_source_does_not_go_on_with_what_was_interrupted(tmp_path, source):
    matrices = random_matrices(SMALL)
    with pytest.raises(Interrupted):
        write(tmp_path, Lazy(random_matrices(SMALL, seed=1), after=10), source=source and "s")
    write(tmp_path, matrices, source)
    got = load_weights(tmp_path, "float32")
    assert all(got[name].tobytes() == matrix.tobytes() for name, matrix in matrices.items())


def test_a_file_that_was_edited_after_the_interruption_is_written_again(tmp_path):
    matrices = random_matrices(SMALL)
    with pytest.raises(Interrupted):
        write(tmp_path, Lazy(matrices, after=10))
    (tmp_path / "model_wpe.csv").write_text("1,2\n")
    write(tmp_path, matrices)
    assert load_weights(tmp_path, "float32")["model_wpe"].tobytes() == matrices["model_wpe"].tobytes()


KILLED = f"""{KILLED_WHILE_WRITING}
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from models import SMALL, random_matrices
from sheetgpt.files.journal import unfinished
from sheetgpt.weights.folder import write_weights
with unfinished(Path(sys.argv[1]), "s") as journal:
    write_weights(Path(sys.argv[1]), SMALL, random_matrices(SMALL), journal=journal)
"""


def test_a_killed_write_leaves_no_folder_that_looks_whole(tmp_path, request):
    folder = tmp_path / "m"
    done = subprocess.run([sys.executable, "-c", KILLED, "8", folder, str(request.path.parents[1])], check=False)
    assert done.returncode == -9
    assert " is unfinished, " in fault(folder)
    matrices = random_matrices(SMALL)
    rest = Lazy(matrices, after=100)
    write(folder, rest)
    assert rest.asked == list(matrices)[7:]
    assert not list(folder.glob(".*"))
    assert list(load_weights(folder)) == list(matrices)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "m").write_text("a file")
    with pytest.raises(WeightsError, match=r"/m cannot be written: File exists"):
        write_weights(tmp_path / "m", SMALL, random_matrices(SMALL))


def test_the_embedded_folder_is_beside_or_in_the_package(tmp_path, monkeypatch):
    package = tmp_path / "sheetgpt"
    package.mkdir()
    monkeypatch.setattr(embedded, "__file__", str(package / "weights" / "embedded.py"))
    with pytest.raises(WeightsError, match="the model that ships with sheetgpt is not installed"):
        weights.embedded_folder()
    (tmp_path / "weights_csv").mkdir()
    assert weights.embedded_folder() == tmp_path / "weights_csv"
    (package / "weights_csv").mkdir()
    assert weights.embedded_folder() == package / "weights_csv"


def test_a_copied_folder_runs(folder, tmp_path):
    load_weights(folder)
    shutil.copytree(folder, tmp_path / "twin")
    rewrite(tmp_path / "twin" / "model_wpe.csv", lambda text: "7" + text[text.index(",") :])
    assert load_weights(tmp_path / "twin")["model_wpe"][0, 0] == 7
    assert (tmp_path / "twin" / FOLDER).is_dir()


@pytest.mark.parametrize("n_layer", [3, 999, 10_000, 10**9, 10**30])
def test_constants_are_held_against_the_files_before_anything_of_their_size_is_made(tmp_path, n_layer):
    write_random_model(tmp_path / "m", SMALL)
    constants = tmp_path / "m" / "constants.csv"
    constants.write_text(constants.read_text().replace("n_layer,2", f"n_layer,{n_layer}"))
    begun = time.monotonic()
    with pytest.raises(WeightsError) as error:
        load_weights(tmp_path / "m")
    assert time.monotonic() - begun < 2
    assert "\n" not in str(error.value)
    assert ("has no model_h2_ln_1_g.csv" in str(error.value)) == (n_layer <= 10_000)
    report = check(tmp_path / "m")
    assert report.wrong
    assert len(report.findings) < 400


@pytest.mark.parametrize("name", ["n_head", "n_embd", "n_ctx", "n_vocab"])
def test_any_absurd_constant_is_one_line_at_once(tmp_path, name):
    write_random_model(tmp_path / "m", SMALL)
    constants = tmp_path / "m" / "constants.csv"
    constants.write_text(re.sub(rf"{name},\d+", f"{name},1000000008", constants.read_text()))
    with pytest.raises(WeightsError) as error:
        load_weights(tmp_path / "m")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("folder", ["x" * 5000, "a\0b", "x/" * 3000])
def test_what_can_be_no_folder_is_told(folder):
    with pytest.raises(WeightsError, match="is no folder"):
        load_weights(folder)


def test_weights_in_passing_are_the_same_and_one_large_matrix_is_let_go_for_the_next(folder, monkeypatch):
    released = []
    monkeypatch.setattr(weights, "LARGE", 200)
    monkeypatch.setattr(weights, "release", released.append)
    loaded = load_weights(folder)
    passing = loaded.in_passing()
    assert list(passing) == list(loaded)
    assert all(np.array_equal(passing[name], loaded[name]) for name in loaded)
    large = [matrix for matrix in loaded.values() if matrix.nbytes >= 200]
    assert len(released) == len(large) - 1 > 0
    assert all(one is other for one, other in zip(released, large, strict=False))
