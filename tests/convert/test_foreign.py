"""What is not ours is called by its name, with what makes ours of it: as a source to convert, and as --weights."""

import gzip
import io
import json
import pickle
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints import (
    CONFIG,
    MATRICES,
    fault,
    gguf,
    huggingface_tensors,
    linear_tensors,
    npz,
    torch_tensors,
    write_csvs,
    write_huggingface,
    write_settings,
    write_token_files,
)
from command_line import sheetgpt_here
from conftest import require
from models import write_random_model

DAMAGE = ("torn", "get it again", "get the model again", "damaged")


def tar_of(*names):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return data.getvalue()


def zip_of(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return data.getvalue()


PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 548105171\n"
FILES = [
    ("model.safetensors", POINTER, "is a Git LFS pointer"),
    ("pytorch_model.bin", POINTER, "is a Git LFS pointer"),
    ("model.gguf", POINTER, "is a Git LFS pointer"),
    ("model.npz", POINTER, "is a Git LFS pointer"),
    ("model.safetensors", PAGE, "is a web page (HTML)"),
    ("ckpt.pt", PAGE, "is a web page (HTML)"),
    ("model.bin", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a page (XML)"),
    ("tf_model.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file"),
    ("model.keras", zip_of("config.json", "metadata.json", "model.weights.h5"), "is a Keras model"),
    ("flax_model.msgpack", b"\x82\xabtransformer\x81", "is a Flax model"),
    ("model.onnx", b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", "is an ONNX model"),
    ("model.bin", b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", "is an ONNX model"),
    ("model.tflite", b"\x1c\0\0\0TFL3" + bytes(99), "is a TFLite model"),
    ("saved_model.pb", b"\x08\x01\x12\x80", "is a SavedModel of TensorFlow"),
    ("model.ckpt.data-00000-of-00001", bytes(64), "is one part of a TensorFlow checkpoint"),
    ("model.ckpt.meta", b"\x0a\x80\x01\0", "is the graph of a TensorFlow checkpoint"),
    ("ggml-model.bin", b"lmgg" + bytes(99), "is a GGML file"),
    ("ggml-model.bin", b"tjgg" + bytes(99), "is a GGML file"),
    ("model.tar", tar_of("gpt2/config.json"), "is a tar archive"),
    ("model.tar.gz", gzip.compress(tar_of("gpt2/config.json")), "is packed by gzip"),
    ("gpt2.zip", zip_of("gpt2/config.json", "gpt2/model.safetensors"), "is a zip of other things, such as config.json"),
    ("model.npz", zip_of("readme.txt"), "is a zip of other things, such as readme.txt"),
    ("book.docx", zip_of("[Content_Types].xml", "word/document.xml"), "is a Word document"),
    ("setup.exe", b"MZ\x90\0" + bytes(99), "is a program for Windows"),
    ("paper.pdf", b"%PDF-1.7\n", "is a PDF"),
    ("image.png", b"\x89PNG\r\n\x1a\n", "is an image (PNG)"),
    ("wte.npy", b"\x93NUMPY\x01\0", "is one array of NumPy"),
    ("data.parquet", b"PAR1" + bytes(9), "is a Parquet file"),
    ("model.pkl", pickle.dumps({"a": [1, 2]}, 4), "is a pickle of other things than PyTorch's"),
    ("config.json", b'{"model_type": "gpt2"}', "holds settings and no weights"),
    ("tokenizer.json", b'{"model": {}}', "holds a tokenizer and no weights"),
    ("vocab.json", b"{}", "holds a tokenizer and no weights"),
    ("merges.txt", b"#version: 0.2\n", "holds a tokenizer and no weights"),
    ("adapter_config.json", b'{"peft_type": "LORA"}', "is an adapter (LoRA)"),
    ("trainer_state.json", b"{}", "holds the state of a training"),
    ("model_wte.csv", b"1,2\n", "is a table, and a model is a folder of such"),
    ("notes.txt", b"hello", "is a text and no model"),
    ("train.py", b"import torch\n", "is a text and no model"),
]


@pytest.mark.parametrize(("name", "data", "what"), FILES)
def test_a_file_that_is_not_ours_is_called_by_its_name(tmp_path, name, data, what):
    file = tmp_path / name
    file.write_bytes(data)
    message = fault(file)
    assert message.startswith(f"SOURCE {what}"), message
    assert ": " in message
    assert not any(word in message for word in DAMAGE), message
    as_weights = sheetgpt_here("run", "--token-ids", "1", "--weights", file)
    assert (as_weights.code, as_weights.error.replace(str(file), "SOURCE")) == (2, message)
    assert sheetgpt_here("tokenize", "a", "--weights", file).error.replace(str(file), "SOURCE") == message


@pytest.mark.parametrize("where", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(("data", "what"), [(POINTER, "is a Git LFS pointer"), (PAGE, "is a web page (HTML)")])
def test_what_was_saved_in_place_of_a_model_is_named_in_its_folder(tmp_path, where, data, what):
    folder = write_settings(tmp_path / "hf")
    (folder / where).write_bytes(data)
    assert fault(folder).startswith(f"SOURCE/{where} {what}")


FOLDERS = [
    (["tokenizer.json", "tokenizer_config.json"], "holds a tokenizer and no weights"),
    (["vocab.json", "merges.txt"], "holds a tokenizer and no weights"),
    (["adapter_config.json", "adapter_model.safetensors"], "is an adapter (LoRA)"),
    (["optimizer.pt", "scheduler.pt", "trainer_state.json"], "holds the state of a training"),
    (["model.safetensors.index.json"], "holds an index of weights, and not the files that it names"),
    (["saved_model.pb"], "is a SavedModel of TensorFlow"),
    (["model.onnx"], "holds an ONNX model"),
    (["tf_model.h5"], "holds a Keras or TensorFlow model (HDF5)"),
    (["flax_model.msgpack"], "holds a Flax model"),
    (["gpt2.tar.gz"], "holds gpt2.tar.gz, which is packed"),
    (["a.csv", "b.csv"], "holds CSVs, and none of them is a model's token embeddings, model_wte.csv"),
    (["weights.gguf"], "holds a GGUF file: name the file: SOURCE/weights.gguf"),
    (["epoch_3.pth"], "holds a PyTorch file: name the file: SOURCE/epoch_3.pth"),
    (["ema.safetensors"], "holds a safetensors file: name the file: SOURCE/ema.safetensors"),
    (["model.npz"], "holds an npz: name the file: SOURCE/model.npz"),
    (["manifest.json", "final_tokens.csv"], "is the dump of a run"),
]


@pytest.mark.parametrize(("names", "what"), FOLDERS)
def test_a_folder_that_is_not_ours_is_called_by_its_name(tmp_path, names, what):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")
    message = fault(folder)
    assert message.startswith(f"SOURCE {what}"), message
    assert not any(word in message for word in DAMAGE), message
    if "token" not in what:
        as_weights = sheetgpt_here("run", "--token-ids", "1", "--weights", folder)
        assert as_weights.error.replace(str(folder), "SOURCE") == message


@pytest.mark.parametrize("other", ["tf_model.h5", "flax_model.msgpack", "model.onnx", "optimizer.pt", "tokenizer.json"])
def test_a_hugging_face_folder_without_weights_says_what_it_has(tmp_path, other):
    folder = write_settings(tmp_path / "hf")
    (folder / other).write_bytes(b"x")
    message = fault(folder)
    assert message.startswith("SOURCE has neither model.safetensors nor pytorch_model.bin, it "), message
    assert not any(word in message for word in DAMAGE)


@pytest.mark.parametrize("depth", ["hf", "snapshots/0123", "a/b/c"])
def test_a_folder_of_folders_names_the_one_that_holds_a_model(tmp_path, depth):
    outer = tmp_path / "outer"
    inner = outer / depth
    inner.parent.mkdir(parents=True)
    write_huggingface(inner, MATRICES)
    assert fault(outer) == f"SOURCE holds a folder with a model: name that folder: SOURCE/{depth}"
    error = sheetgpt_here("run", "a", "--weights", outer).error
    assert error.endswith(f"holds a folder with a model: name that folder: {inner}")


def test_a_folder_of_csv_folders_names_one(tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    write_csvs(outer / "csv", MATRICES)
    assert sheetgpt_here("run", "the", "--weights", outer).error.endswith(f"name that folder: {outer}/csv")


@pytest.mark.parametrize("make", [gguf, npz])
def test_what_can_be_converted_says_so_as_weights(tmp_path, make):
    file = make(tmp_path / "source")
    for command in (["run", "--token-ids", "1"], ["tokenize", "a"]):
        error = sheetgpt_here(*command, "--weights", file).error
        assert error.endswith(f": first `sheetgpt convert-weights {file} DEST`"), error


def test_a_safetensors_file_as_weights_says_what_to_do(tmp_path):
    file = write_huggingface(tmp_path / "hf", MATRICES) / "model.safetensors"
    message = f"{file} is a safetensors file: first `sheetgpt convert-weights {file} DEST`"
    assert sheetgpt_here("run", "a", "--weights", file).error == message


def test_a_model_of_ours_is_not_foreign(tmp_path):
    write_random_model(tmp_path / "w", CONFIG)
    (tmp_path / "w" / "tokenizer.json").write_text("{}")
    assert sheetgpt_here("run", "--token-ids", "1", "--weights", tmp_path / "w").code == 0


# tensors of other models

OTHERS = {
    "a model such as Llama": ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"],
    "a BERT": ["bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.attention.self.query.weight"],
    "a DistilBERT": ["distilbert.transformer.layer.0.attention.q_lin.weight"],
    "a GPT-NeoX": ["gpt_neox.layers.0.attention.query_key_value.weight"],
    "a GPT-Neo": ["transformer.wte.weight", "transformer.h.0.attn.attention.q_proj.weight"],
    "a GPT-J": ["transformer.wte.weight", "transformer.h.0.attn.q_proj.weight"],
    "a BLOOM": ["transformer.h.0.self_attention.query_key_value.weight"],
    "a T5": ["decoder.block.0.layer.0.SelfAttention.q.weight"],
    "a BART": ["model.decoder.layers.0.fc1.weight"],
    "a Mamba": ["backbone.layers.0.mixer.in_proj.weight"],
    "an MPT": ["transformer.blocks.0.attn.Wqkv.weight"],
    "a Llama as Meta": ["layers.0.attention.wq.weight"],
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("beside", [True, False])
def test_tensors_of_another_model_are_called_by_its_name(tmp_path, what, beside):
    folder = write_settings(tmp_path / "hf") if beside else tmp_path
    save_file({name: np.zeros((2, 2), np.float32) for name in OTHERS[what]}, folder / "model.safetensors")
    message = fault(folder / "model.safetensors")
    assert message.startswith(f"SOURCE holds {what}"), message
    assert message.endswith(": sheetgpt computes GPT-2; name a GPT-2")


@pytest.mark.parametrize(
    ("ending", "what"),
    [("qweight", "GPTQ or AWQ"), ("weight.absmax", "bitsandbytes"), ("SCB", "bitsandbytes"), ("weight_scale", "FP8")],
)
def test_quantized_tensors_are_called_so(tmp_path, ending, what):
    folder = write_settings(tmp_path / "hf")
    tensors = huggingface_tensors(MATRICES) | {f"transformer.h.0.attn.c_attn.{ending}": np.zeros((2, 2), np.float32)}
    save_file(tensors, folder / "model.safetensors")
    assert fault(folder).startswith("SOURCE is quantized (")
    assert what in fault(folder)


def test_an_adapter_of_any_name_is_called_so(tmp_path):
    name = "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"
    save_file({name: np.zeros((2, 2), np.float32)}, tmp_path / "weights.safetensors")
    assert fault(tmp_path / "weights.safetensors").startswith("SOURCE is an adapter (LoRA), changes to a model and no")


@pytest.mark.oracle
def test_pytorch_files_of_other_things_are_called_by_their_names(tmp_path):
    torch = require("torch", "oracle")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = torch.nn.Embedding(3, 2)

        def forward(self, ids):
            return self.wte(ids)

    with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
        torch.jit.trace(Model(), torch.tensor([1])).save(tmp_path / "script.pt")
    assert fault(tmp_path / "script.pt").startswith("SOURCE is a TorchScript archive")
    optimizer = torch.optim.AdamW(Model().parameters())
    torch.save(optimizer.state_dict(), tmp_path / "any.pt")
    assert fault(tmp_path / "any.pt").startswith("SOURCE holds the state of a training")
    torch.save({"python": 1, "cpu": torch.get_rng_state()}, tmp_path / "rng_state.pth")
    assert fault(tmp_path / "rng_state.pth").startswith("SOURCE holds the state of a training")
    llama = {name: torch.zeros(2, 2) for name in OTHERS["a model such as Llama"]}
    torch.save(llama, tmp_path / "llama.pt")
    assert fault(tmp_path / "llama.pt").startswith("SOURCE holds a model such as Llama")
    torch.save({"model": torch_tensors(linear_tensors(MATRICES))}, tmp_path / "ours.pt")
    assert "does not tell how many heads" in fault(tmp_path / "ours.pt")


def test_an_index_whose_files_are_not_there_says_which(tmp_path):
    index = {"weight_map": {"wte.weight": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    message = fault(tmp_path / "model.safetensors.index.json")
    assert message.startswith(f"{tmp_path}/model-00001-of-00002.safetensors is missing")


def test_a_tokenizer_beside_nothing_is_told_whatever_else_lies_there(tmp_path):
    folder = write_token_files(write_settings(tmp_path / "hf"))
    assert "it holds a tokenizer and no weights" in fault(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"])
def test_what_was_saved_in_place_of_a_settings_or_token_file_is_named(tmp_path, name):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / name).write_bytes(POINTER)
    assert fault(folder).startswith(f"SOURCE/{name} is a Git LFS pointer")
    (folder / name).write_bytes(PAGE)
    assert fault(folder).startswith(f"SOURCE/{name} is a web page (HTML)")


def test_check_names_what_is_no_folder_of_ours(tmp_path):
    file = write_huggingface(tmp_path / "hf", MATRICES) / "model.safetensors"
    assert sheetgpt_here("check", file).error.startswith(
        f"{file} is a safetensors file: first `sheetgpt convert-weights"
    )


def test_a_quantized_gguf_is_called_so_before_anything_is_written(tmp_path):
    library = require("gguf", "test")
    matrices = {name: np.zeros((matrix.shape[0], 32), np.float32) for name, matrix in MATRICES.items()}
    writer = library.GGUFWriter(tmp_path / "q.gguf", "gpt2")
    quantized = library.quants.quantize(matrices["model_wte"], library.GGMLQuantizationType.Q8_0)
    writer.add_tensor("token_embd.weight", quantized, raw_dtype=library.GGMLQuantizationType.Q8_0)
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    assert fault(tmp_path / "q.gguf") == (
        "SOURCE is quantized (Q8_0): only exact numbers can be converted: get it as F32, F16 or BF16"
    )
