"""An npz that is torn, absurd or no model is refused; half precision and doubles are exact."""

import io
import zipfile

import numpy as np
import pytest

from checkpoints import MATRICES, contents, fault, npz, write_csvs, write_fault
from models import random_matrices
from sheetgpt.convert import open_source, write
from sheetgpt.models.config import Config


def npz_of(tmp_path, **arrays):
    np.savez(tmp_path / "m.npz", **arrays)
    return tmp_path / "m.npz"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_wte": None}, "SOURCE has no matrix model_wte: an npz holds a model's matrices by our names"),
        ({"n_head": None}, "SOURCE does not tell how many heads its n_embd of 12 is split into: give --n-head N"),
        (
            {"model_h0_ln_1_g": None},
            "SOURCE has no model_h0_ln_1_g: it is torn, or its configuration",
        ),
        ({"model_wpe": np.zeros((16, 12), int)}, "SOURCE: model_wpe.npy holds int64, not float16, float32, float64"),
        ({"model_wpe": np.zeros((16, 12), object)}, "SOURCE: model_wpe.npy "),
        ({"extra": np.zeros(3)}, "SOURCE holds 'extra', which GPT-2 does not have"),
        (
            {"model_ln_f_b": np.zeros(13)},
            "SOURCE: model_ln_f_b is 13, not 1 x 12: its configuration",
        ),
    ],
)
def test_an_npz_that_is_no_model_is_refused(tmp_path, changes, message):
    arrays = {**MATRICES, "n_head": 3} | changes
    assert message in fault(npz_of(tmp_path, **{name: array for name, array in arrays.items() if array is not None}))


def test_an_npz_without_heads_has_the_references(tmp_path):
    config = Config(1, 2, 128, 4, 8)
    assert open_source(str(npz_of(tmp_path, **random_matrices(config)))).config == config


def test_an_npz_of_half_precision_and_doubles_is_exact(tmp_path):
    mixed = {
        name: m.astype(np.float16) if name.endswith("_b") else m.astype(np.float64) / 3 for name, m in MATRICES.items()
    }
    write(open_source(str(npz_of(tmp_path, n_head=3, **mixed))), tmp_path / "csv")
    exact = {name: m.astype(np.float32) if name.endswith("_b") else m for name, m in mixed.items()}
    assert contents(tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", exact, tokenizer=False))


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 20), (3, 3)])
def test_an_absurd_shape_in_an_npz_is_refused_before_memory_is_reserved(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("model_wte.npy", header.getvalue() + bytes(16))
    assert "model_wte.npy is torn, or its header says an absurd shape" in fault(tmp_path / "m.npz")


def test_a_torn_npz_is_refused(tmp_path):
    file = npz(tmp_path / "source")
    data = file.read_bytes()
    for keep in (0, 3, 100, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:keep])
        assert "SOURCE is torn or nothing that can be converted" in fault(file)
    file.write_bytes(data[:3000] + bytes(8) + data[3008:])
    assert "is damaged at model_" in write_fault(file, tmp_path / "csv")
