"""A Hugging Face folder becomes a CSV folder, or is refused by the setting, tensor or file that is not GPT-2's."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints import CONFIG as MODEL
from checkpoints import (
    MERGES,
    TOKENS,
    contents,
    huggingface_tensors,
    write_csvs,
    write_huggingface,
    write_settings,
    write_shards,
    write_token_files,
)
from conftest import require
from models import random_matrices
from sheetgpt.convert import open_source, write
from sheetgpt.errors import ConvertError, SheetGPTError
from sheetgpt.weights.folder import load_weights

MATRICES = random_matrices(MODEL)


@pytest.fixture
def expected(tmp_path):
    return contents(write_csvs(tmp_path / "expected", MATRICES))


def converted(source, folder):
    write(open_source(str(source)), folder)
    return contents(folder)


def fault(source):
    with pytest.raises(SheetGPTError) as error:
        open_source(str(source))
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(source), "SOURCE")


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_a_folder_is_converted_with_or_without_the_prefix(tmp_path, expected, prefix):
    assert converted(write_huggingface(tmp_path / "hf", MATRICES, prefix), tmp_path / "csv") == expected


def test_a_model_in_several_files_is_converted(tmp_path, expected):
    folder = write_shards(write_token_files(write_settings(tmp_path / "hf")), huggingface_tensors(MATRICES))
    assert converted(folder, tmp_path / "csv") == expected


def test_the_mask_that_old_versions_stored_is_left_out(tmp_path, expected):
    tensors = huggingface_tensors(MATRICES)
    for i in range(MODEL.n_layer):
        tensors[f"transformer.h.{i}.attn.bias"] = np.tril(np.ones((1, 1, 16, 16), np.uint8))
        tensors[f"transformer.h.{i}.attn.masked_bias"] = np.array(-1e4, np.float32)
    folder = write_token_files(write_settings(tmp_path / "hf"))
    save_file(tensors, folder / "model.safetensors")
    assert converted(folder, tmp_path / "csv") == expected


def test_a_head_equal_to_the_embeddings_is_left_out(tmp_path, expected):
    tied = MATRICES | {"model_lm_head": MATRICES["model_wte"]}
    assert converted(write_huggingface(tmp_path / "hf", tied), tmp_path / "csv") == expected


def test_a_head_of_its_own_is_kept(tmp_path):
    matrices = random_matrices(MODEL, untied=True)
    folder = write_huggingface(tmp_path / "hf", matrices, tie_word_embeddings=False)
    assert converted(folder, tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", matrices))
    assert load_weights(tmp_path / "csv").untied


def brain(matrix):
    """float32 whose lower half is zero, and its upper half."""
    upper = (matrix.view(np.uint32) >> 16).astype(np.uint16)
    return (upper.astype(np.uint32) << 16).view(np.float32), upper


def test_half_precision_becomes_float32_exactly(tmp_path):
    halves = {name: matrix.astype(np.float16) for name, matrix in MATRICES.items()}
    halves["model_wpe"][0, :3] = [6e-8, 65504, -0.0]  # the smallest, the largest, minus zero
    exact = {name: matrix.astype(np.float32) for name, matrix in halves.items()}
    expected = contents(write_csvs(tmp_path / "expected", exact))
    assert converted(write_huggingface(tmp_path / "hf", halves), tmp_path / "csv") == expected


def write_raw_safetensors(file, tensors):
    """name -> (type, numbers), for types that numpy lacks."""
    header, data = {}, b""
    for name, (kind, numbers) in tensors.items():
        end = len(data) + numbers.nbytes
        header[name] = {"dtype": kind, "shape": numbers.shape, "data_offsets": [len(data), end]}
        data += numbers.tobytes()
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_brain_precision_becomes_float32_exactly(tmp_path):
    exact, stored = {}, {}
    for name, matrix in MATRICES.items():
        exact[name], stored[name] = brain(matrix)
    folder = write_token_files(write_settings(tmp_path / "hf"))
    tensors = {name: ("BF16", numbers) for name, numbers in huggingface_tensors(stored).items()}
    write_raw_safetensors(folder / "model.safetensors", tensors)
    assert converted(folder, tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", exact))


def test_other_types_are_refused(tmp_path):
    folder = write_settings(tmp_path / "hf")
    tensors = {name: ("I32", m.view(np.int32)) for name, m in huggingface_tensors(MATRICES).items()}
    write_raw_safetensors(folder / "model.safetensors", tensors)
    with pytest.raises(ConvertError, match="holds numbers of type I32; only F64, F32, F16, BF16 can be converted exac"):
        converted(folder, tmp_path / "csv")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("model_type", "gpt_neo", "model_type is 'gpt_neo'; only 'gpt2' can be converted"),
        ("model_type", ..., "model_type is None; only 'gpt2' can be converted"),
        ("activation_function", "gelu", "activation_function is 'gelu', and sheetgpt computes gelu_new"),
        ("activation_function", "relu", "activation_function is 'relu', and sheetgpt computes gelu_new"),
        ("scale_attn_weights", False, "scale_attn_weights is False, and GPT-2 divides attention scores by the root"),
        ("scale_attn_by_inverse_layer_idx", True, "scale_attn_by_inverse_layer_idx is True, and GPT-2 scales"),
        ("layer_norm_epsilon", 1e-6, "layer_norm_epsilon is 1e-06, and GPT-2 and the reference use 1e-05"),
        ("add_cross_attention", True, "add_cross_attention is True, and GPT-2 only looks at its own text"),
        ("pruned_heads", {"0": [1]}, "pruned_heads is {'0': [1]}, and GPT-2 has all its heads"),
        ("quantization_config", {"bits": 8}, "quantization_config is {'bits': 8}, and only exact numbers can be"),
        ("n_inner", 40, "n_inner is 40, and GPT-2 has 4 n_embd = 48: this model would run differently"),
        ("n_head", 5, "n_embd 12 is no multiple of n_head 5"),
        ("n_layer", "2", "n_layer is '2', not a whole number above 0"),
        ("n_layer", 0, "n_layer is 0, not a whole number above 0"),
        ("vocab_size", True, "vocab_size is True, not a whole number above 0"),
    ],
)
def test_what_is_not_gpt2_is_refused_by_its_setting(tmp_path, setting, value, message):
    folder = write_huggingface(tmp_path / "hf", MATRICES, **{setting: value})
    assert fault(folder).startswith(f"SOURCE/config.json: {message}")


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "gelu_pytorch_tanh"},
        {"reorder_and_upcast_attn": True, "scale_attn_weights": True, "resid_pdrop": 0.5},
        {"n_inner": 48},
        {"n_inner": None},
        {"n_ctx": ..., "activation_function": ..., "layer_norm_epsilon": ...},
        {"n_positions": ...},
    ],
)
def test_settings_that_change_nothing_are_accepted(tmp_path, expected, changes):
    assert converted(write_huggingface(tmp_path / "hf", MATRICES, **changes), tmp_path / "csv") == expected


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("transformer.h.1.ln_2.bias", None, "SOURCE has no h.1.ln_2.bias: it is torn, or its configuration belongs to"),
        ("transformer.wpe.weight", np.zeros((15, 12), "f4"), "SOURCE: wpe.weight is 15 x 12, not 16 x 12: its config"),
        ("transformer.h.2.ln_1.bias", np.zeros(12, "f4"), "SOURCE holds 'h.2.ln_1.bias', which GPT-2 does not have"),
        ("transformer.adapter.weight", np.zeros((2, 12), "f4"), "SOURCE holds 'adapter.weight', which GPT-2 does not"),
        ("embed_in.weight", np.zeros((2, 12), "f4"), "SOURCE holds 'embed_in.weight', which GPT-2 does not have: this"),
        ("lm_head.bias", np.zeros(262, "f4"), "SOURCE holds 'lm_head.bias', which GPT-2 does not have: this model"),
        ("head.weight", np.zeros((262, 12), "f4"), "SOURCE holds 'head.weight', which GPT-2 does not have: this model"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, name, tensor, message):
    folder = write_settings(tmp_path / "hf")
    tensors = huggingface_tensors(MATRICES)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors")
    assert fault(folder).startswith(message)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 3000, -1])
def test_a_torn_file_is_refused(tmp_path, keep):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert fault(folder).startswith("SOURCE/model.safetensors is torn or no safetensors file (")


@pytest.mark.parametrize(
    "header",
    [
        (1 << 60).to_bytes(8, "little") + b"{}",
        b'\x50\0\0\0\0\0\0\0{"wte.weight":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}',
        b"\x02\0\0\0\0\0\0\0[]",
    ],
)
def test_absurd_headers_are_refused(tmp_path, header):
    folder = write_settings(tmp_path / "hf")
    (folder / "model.safetensors").write_bytes(header)
    assert fault(folder).startswith("SOURCE/model.safetensors is torn or no safetensors file (")


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "a/b.safetensors"])
def test_an_index_may_not_name_files_outside_its_folder(tmp_path, name):
    folder = write_settings(tmp_path / "hf")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": name}}))
    message = f"SOURCE/model.safetensors.index.json names {name!r}, a file outside its folder: get the model from a"
    assert fault(folder).startswith(message)


def test_missing_and_damaged_files_are_named(tmp_path):
    folder = write_settings(tmp_path / "hf")
    assert fault(folder) == "SOURCE has neither model.safetensors nor pytorch_model.bin: get the model again"
    write_shards(folder, huggingface_tensors(MATRICES))
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert fault(folder) == "SOURCE/model-00002-of-00003.safetensors is missing: get the model again"
    (folder / "config.json").write_text("{")
    assert fault(folder).startswith("SOURCE/config.json is no JSON (")
    (folder / "config.json").write_text("[1]")
    assert fault(folder) == "SOURCE/config.json holds no JSON object: get it again"


# token files


def single_file(**changes):
    vocabulary = {token: i for i, token in enumerate(TOKENS[:-1])}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [f"{a} {b}" for a, b in MERGES]} | changes
    added = [{"id": len(TOKENS) - 1, "content": TOKENS[-1], "special": True}]
    return {"model": model, "pre_tokenizer": {"type": "ByteLevel"}, "added_tokens": added}


@pytest.mark.parametrize("merges", [[f"{a} {b}" for a, b in MERGES], [list(pair) for pair in MERGES]])
def test_a_tokenizer_in_a_single_file_gives_the_same_tables(tmp_path, expected, merges):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "merges.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(single_file(merges=merges)), encoding="utf-8")
    assert converted(folder, tmp_path / "csv") == expected


def test_a_model_without_a_tokenizer_is_valid(tmp_path, expected):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "merges.txt").unlink()
    checkpoint = open_source(str(folder))
    assert checkpoint.remarks == ["no token files: the model runs by --token-ids"]
    write(checkpoint, tmp_path / "csv")
    assert contents(tmp_path / "csv") == {name: data for name, data in expected.items() if "bpe" not in name}


@pytest.mark.parametrize("kind", [{"type": "Unigram"}, {"type": "WordPiece"}])
def test_another_kind_of_tokenizer_is_left_out_with_a_remark(tmp_path, kind):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "merges.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(single_file(**kind)), encoding="utf-8")
    assert open_source(str(folder)).remarks == [
        "tokenizer.json is no byte-level BPE as GPT-2's: the model runs by --token-ids"
    ]


def test_a_padded_vocabulary_is_kept_with_a_remark(tmp_path):
    matrices = random_matrices(MODEL)
    matrices["model_wte"] = np.vstack([matrices["model_wte"], np.zeros((2, 12), np.float32)])
    checkpoint = open_source(str(write_huggingface(tmp_path / "hf", matrices, vocab_size=264)))
    assert checkpoint.remarks == ["2 of 264 ids have no token in vocab.json: padding"]
    write(checkpoint, tmp_path / "csv")
    assert load_weights(tmp_path / "csv").config.n_vocab == 264


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "merges.txt",
            "#version: 0.2\nh e x\n",
            "SOURCE/merges.txt, merge 2: expected two tokens, found ['h', 'e'",
        ),
        ("merges.txt", "#version: 0.2\nh\n", "SOURCE/merges.txt, merge 2: expected two tokens, found ['h']"),
        (
            "vocab.json",
            '{"a": 0, "b": 2}',
            "SOURCE/vocab.json: the token 'b' has the id 2; ids must be 0 to 1",
        ),
        (
            "vocab.json",
            '{"a": 0, "b": 0}',
            "SOURCE/vocab.json: the token 'b' has the id 0; ids must be 0 to 1",
        ),
        ("vocab.json", '{"a": "x"}', "SOURCE/vocab.json: the token 'a' has the id 'x'; ids must be 0 to 0, each once"),
        (
            "vocab.json",
            json.dumps({str(i): i for i in range(300)}),
            "SOURCE/vocab.json has 300 tokens, the model",
        ),
    ],
)
def test_damaged_token_files_are_refused_by_place(tmp_path, name, text, message):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / name).write_text(text)
    assert fault(folder).startswith(message)


def test_a_table_that_no_run_could_use_is_refused(tmp_path):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "merges.txt").write_text("#version: 0.2\nxx yy\n")
    with pytest.raises(SheetGPTError, match="'xx' is no letter of GPT-2's byte alphabet"):
        converted(folder, tmp_path / "csv")


# against the libraries themselves


@pytest.mark.oracle
@pytest.mark.parametrize("shard_size", ["50MB", "10KB"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_transformers_saves_is_converted(tmp_path, expected, shard_size, tied):
    torch, transformers = require("torch", "oracle"), require("transformers", "oracle")
    config = transformers.GPT2Config(
        n_layer=2, n_head=3, n_embd=12, n_positions=16, vocab_size=262, tie_word_embeddings=tied,
        bos_token_id=261, eos_token_id=261,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    matrices = MATRICES if tied else random_matrices(MODEL, untied=True)
    state = model.state_dict()
    for name, tensor in huggingface_tensors(matrices).items():
        state[name].copy_(torch.from_numpy(tensor))
    model.save_pretrained(tmp_path / "hf", max_shard_size=shard_size)
    assert (tmp_path / "hf" / "model.safetensors").exists() == (shard_size == "50MB")
    write_token_files(tmp_path / "hf")
    wanted = expected if tied else contents(write_csvs(tmp_path / "untied", matrices))
    assert converted(tmp_path / "hf", tmp_path / "csv") == wanted


@pytest.mark.oracle
def test_the_tokenizer_that_transformers_saves_gives_the_same_tables(tmp_path, expected):
    transformers = require("transformers", "oracle")
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    transformers.GPT2Tokenizer.from_pretrained(folder).save_pretrained(tmp_path / "tokenizer")
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    for file in (tmp_path / "tokenizer").iterdir():
        file.rename(folder / file.name)
    assert (folder / "tokenizer.json").exists()
    assert converted(folder, tmp_path / "csv") == expected


@pytest.mark.parametrize("lost", range(1, len(MERGES) + 1))
@pytest.mark.parametrize("single", [False, True], ids=["merges.txt", "tokenizer.json"])
def test_merges_that_end_early_are_told(tmp_path, lost, single):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    kept = MERGES[: len(MERGES) - lost]
    if single:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        for name in ("vocab.json", "merges.txt"):
            (folder / name).unlink()
        model = {"type": "BPE", "vocab": vocabulary, "merges": [" ".join(pair) for pair in kept]}
        (folder / "tokenizer.json").write_text(json.dumps({"model": model, "pre_tokenizer": {"type": "ByteLevel"}}))
    else:
        (folder / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in kept), encoding="utf-8")
    told = fault(folder)
    assert told.startswith(
        f"SOURCE/{'tokenizer.json' if single else 'merges.txt'} is torn: it makes none of {lost} tok"
    )
    assert told.endswith("--no-tokenizer")


def test_tokens_that_were_added_need_no_merge(tmp_path):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    added = [{"content": "ĊĊ", "id": vocabulary["ĊĊ"]}]
    model = {"type": "BPE", "vocab": vocabulary, "merges": [" ".join(pair) for pair in MERGES if pair != ("Ċ", "Ċ")]}
    data = {"model": model, "pre_tokenizer": {"type": "ByteLevel"}, "added_tokens": added}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    assert open_source(str(folder)).tokenizer
