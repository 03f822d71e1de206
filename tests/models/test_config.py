"""constants.csv: read back as written, and refused by row where it is wrong."""

from __future__ import annotations

import pytest

from sheetgpt.errors import WeightsError
from sheetgpt.models.config import Config

GOOD = "name,value\nn_layer,2\nn_head,4\nn_embd,64\nn_ctx,64\nn_vocab,500\n"


def read(tmp_path, text):
    path = tmp_path / "constants.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Config.read(path)


def test_constants_are_read(tmp_path):
    assert read(tmp_path, GOOD) == Config(2, 4, 64, 64, 500)


def test_constants_that_excel_saved_are_read(tmp_path):
    excel = b"\xef\xbb\xbf" + GOOD.replace(",", ";").replace("\n", ";;\r\n").encode()
    assert read(tmp_path, excel) == Config(2, 4, 64, 64, 500)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_head,4", "n_head,5", "n_embd 64 is not a multiple of n_head 5"),
        ("n_head,4", "n_head,0", "n_head is 0; it must be at least 1"),
        ("n_head,4", "n_head,four", "row 3: n_head must be a whole number, not 'four'"),
        ("n_head,4\n", "", "has no n_head: add a row `n_head,VALUE`"),
        ("n_head,4", "heads,4", "row 3: unknown constant 'heads'"),
        ("n_head,4", "n_head,4\nn_head,4", "row 4: n_head is given twice"),
        ("n_head,4", "n_head", "row 3: expected a name and a value"),
        ("n_head,4", "n_head,4\nposition,spiral", "position 'spiral' is none of learned, sinusoidal, rotary"),
    ],
)
def test_wrong_constants_are_said_in_one_line(tmp_path, old, new, message):
    with pytest.raises(WeightsError) as error:
        read(tmp_path, GOOD.replace(old, new))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
