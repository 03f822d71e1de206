"""GGUF files that are torn, absurd or no GPT-2 are refused."""

import struct

import pytest

from checkpoints import fault, gguf
from sheetgpt.convert import open_source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "llama"}, "SOURCE: general.architecture is 'llama'; only 'gpt2' can be converted"),
        ({"inner": 40}, "SOURCE: gpt2.feed_forward_length is 40, and GPT-2 has 4 n_embd"),
        ({"epsilon": 1e-6}, "SOURCE: gpt2.attention.layer_norm_epsilon is 1e-06, and GPT-2 uses 1e-05"),
    ],
)
def test_gguf_that_is_not_gpt2_is_refused(tmp_path, changes, message):
    assert fault(gguf(tmp_path / "source", **changes)) == message


def test_gguf_with_another_tokenizer_runs_by_token_ids(tmp_path):
    checkpoint = open_source(str(gguf(tmp_path / "source", tokenizer="llama")))
    assert checkpoint.write_tables is None
    assert checkpoint.remarks == ["no byte-level BPE as GPT-2's in the file: the model runs by --token-ids"]


def test_a_torn_gguf_file_is_refused_wherever_it_ends(tmp_path):
    file = gguf(tmp_path / "source")
    data = file.read_bytes()
    for keep in [*range(4, len(data), len(data) // 29), len(data) - 1]:
        file.write_bytes(data[:keep])
        assert fault(file).startswith(("SOURCE is torn or no GGUF file (", "SOURCE is torn: it ends before"))


def gguf_header(n_tensors=0, settings=b"", n_settings=0):
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_settings) + settings + bytes(64)


KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    "data",
    [
        gguf_header(n_tensors=1 << 62),
        gguf_header(n_settings=1 << 62),
        gguf_header(settings=struct.pack("<Q", 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<IQ", 8, 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<IIQ", 9, 0, 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<IIQ", 9, 8, 1 << 62), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 40, n_settings=1),
        gguf_header(settings=KEY + struct.pack("<I", 99), n_settings=1),
        gguf_header(settings=KEY + struct.pack("<I", 1 << 31), n_tensors=1),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    ],
)
def test_absurd_gguf_headers_are_refused_at_once(tmp_path, data):
    (tmp_path / "m.gguf").write_bytes(data)
    assert fault(tmp_path / "m.gguf").startswith("SOURCE is torn or no GGUF file (")
