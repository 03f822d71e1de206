"""The reference's CSVs and their zip: refused by file, completed, copied as they stand."""

import zipfile

import pytest

from checkpoints import MATRICES, contents, csv_zip, fault, write_csvs, write_fault
from models import random_matrices
from sheetgpt.convert import csvs, open_source, write
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import write_weights


def zip_of(tmp_path, entries):
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return tmp_path / "m.zip"


@pytest.mark.parametrize(
    "name", ["../evil.csv", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil", "a\\..\\..\\evil"]
)
def test_a_zip_with_a_path_outside_its_folder_is_refused(tmp_path, name):
    folder = write_csvs(tmp_path / "model", MATRICES)
    file = zip_of(tmp_path, [*contents(folder).items(), (name, "x")])
    with zipfile.ZipFile(file) as archive:
        assert name.replace("\\", "/") in [entry.filename.replace("\\", "/") for entry in archive.infolist()]
    assert "a path outside its folder: get it from a better source" in fault(file)


def test_a_zip_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csvs, "LARGE", 1 << 20)
    file = zip_of(tmp_path, [("model_wte.csv", b"0," * (1 << 22))])
    assert fault(file) == "SOURCE says that it unpacks to 0 GB: get it from a better source"


def test_files_in_a_zip_are_named_when_they_lack_or_are_wrong(tmp_path):
    files = contents(write_csvs(tmp_path / "model", MATRICES))
    without = [item for item in files.items() if item[0] != "model_h1_ln_2_b.csv"]
    assert fault(zip_of(tmp_path, without)) == "SOURCE has no model_h1_ln_2_b.csv: get it again"
    twice = [*files.items(), ("other/model_wpe.csv", b"1\n")]
    assert fault(zip_of(tmp_path, twice)) == "SOURCE holds model_wpe.csv twice: get it from a better source"
    without = [item for item in files.items() if item[0] != "vocab_bpe.csv"]
    assert fault(zip_of(tmp_path, without)) == "SOURCE has no vocab_bpe.csv: get it again"
    wrong = files | {"model_wpe.csv": b"1,2\n"}
    assert write_fault(zip_of(tmp_path, wrong.items()), tmp_path / "csv") == (
        "SOURCE/model_wpe.csv is 1 x 2, not 16 x 12: get it again"
    )
    wrong = files | {"model_wpe.csv": files["model_wpe.csv"][:-1] + b",x\n"}
    message = write_fault(zip_of(tmp_path, wrong.items()), tmp_path / "csv2")
    assert message.startswith("SOURCE/model_wpe.csv, row 16, column 13 holds 'x', which is no number")
    file = csv_zip(tmp_path / "source")
    data = bytearray(file.read_bytes())
    place = data.find(b"model_wte.csv", 200) + 400
    data[place : place + 8] = bytes(8)
    file.write_bytes(data)
    assert "is damaged or locked (" in write_fault(file, tmp_path / "csv3")


def test_the_references_zip_has_no_constants_and_gets_them(tmp_path):
    config = Config(n_layer=1, n_head=2, n_embd=128, n_ctx=4, n_vocab=6)
    matrices = random_matrices(config)
    write_weights(tmp_path / "model", config, matrices)
    expected = contents(tmp_path / "model")
    excel = {
        name: b"\xef\xbb\xbf" + data.replace(b"\n", b",\r\n")
        for name, data in expected.items()
        if name != "constants.csv"
    }
    checkpoint = open_source(str(zip_of(tmp_path, excel.items())))
    assert checkpoint.remarks == [
        "no token files: the model runs by --token-ids",
        "no constants.csv: inferred from the shapes, 2 heads of 64 as the reference has them",
    ]
    write(checkpoint, tmp_path / "csv")
    assert contents(tmp_path / "csv") == expected


def test_decimals_are_copied_as_they_stand(tmp_path):
    folder = write_csvs(tmp_path / "model", MATRICES)
    text = (folder / "model_wpe.csv").read_text()
    longer = "0.12345678901234567890123" + text[text.index(",") :]
    (folder / "model_wpe.csv").write_text(longer)
    write(open_source(str(folder)), tmp_path / "csv")
    assert (tmp_path / "csv" / "model_wpe.csv").read_text() == longer
