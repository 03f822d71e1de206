"""A model's tensors as programs save them: wrapped, beside others, in a file that is named; read past, or named."""

import collections
import json
import pathlib
import random
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from checkpoints import (
    CONFIG,
    MATRICES,
    MODEL_ARGS,
    contents,
    fault,
    huggingface_tensors,
    linear_tensors,
    pickled_folder,
    torch_tensors,
    write_csvs,
    write_huggingface,
    write_settings,
    write_shards,
    write_token_files,
)
from command_line import sheetgpt
from conftest import require
from models import random_matrices
from sheetgpt.convert import open_source, pickled, write
from sheetgpt.convert.checkpoint import Zeros
from sheetgpt.convert.state import language_model

OTHER = random_matrices(CONFIG, seed=7)


@pytest.fixture
def expected(tmp_path):
    return contents(write_csvs(tmp_path / "expected", MATRICES))


def converted(source, folder, **options):
    """(the files, the remarks)"""
    checkpoint = open_source(str(source), **options)
    write(checkpoint, folder, force=True)
    return contents(folder), checkpoint.remarks


# the file that is named


@pytest.mark.parametrize(
    "beside", ["model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "ckpt.pt"]
)
def test_a_safetensors_file_that_is_named_is_read_whatever_lies_beside_it(tmp_path, expected, beside):
    folder = write_huggingface(tmp_path / "hf", OTHER)
    if beside != "model.safetensors":
        (folder / "model.safetensors").rename(folder / beside)
    save_file(huggingface_tensors(MATRICES), folder / "ema.safetensors")
    assert converted(folder / "ema.safetensors", tmp_path / "csv") == (expected, [])


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["pytorch_model.bin", "best.bin", "last.ckpt", "weights.pth"])
def test_a_pickled_file_that_is_named_is_read_whatever_lies_beside_it(tmp_path, expected, name):
    folder = pickled_folder(tmp_path / "hf")
    (folder / "pytorch_model.bin").rename(folder / name)
    save_file(huggingface_tensors(OTHER), folder / "model.safetensors")
    assert converted(folder / name, tmp_path / "csv")[0] == expected
    other = contents(write_csvs(tmp_path / "other", OTHER))
    assert converted(folder, tmp_path / "csv")[0] == other


@pytest.mark.oracle
def test_a_pickled_file_of_any_name_is_held_against_the_settings_beside_it(tmp_path):
    folder = pickled_folder(tmp_path / "hf")
    (folder / "pytorch_model.bin").rename(folder / "best.bin")
    write_settings(folder, activation_function="relu")
    assert "activation_function is 'relu', and sheetgpt computes gelu_new" in fault(folder / "best.bin")


def test_an_index_that_is_named_is_read_and_a_part_alone_is_refused(tmp_path, expected):
    folder = write_shards(write_token_files(write_settings(tmp_path / "hf")), huggingface_tensors(MATRICES))
    save_file(huggingface_tensors(OTHER), folder / "model.safetensors")
    assert converted(folder / "model.safetensors.index.json", tmp_path / "csv") == (expected, [])
    (folder / "model.safetensors.index.json").rename(folder / "ema.safetensors.index.json")
    assert converted(folder / "ema.safetensors.index.json", tmp_path / "csv") == (expected, [])
    part = folder / "model-00002-of-00003.safetensors"
    assert fault(part) == f"SOURCE is one part of a model in several files: name its folder, {folder}"


def test_a_file_without_settings_beside_it_says_all_but_its_heads(tmp_path, expected):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "config.json").unlink()
    file = folder / "model.safetensors"
    assert fault(file) == "SOURCE does not tell how many heads its n_embd of 12 is split into: give --n-head N"
    assert converted(file, tmp_path / "csv", n_head=3) == (expected, [])


def test_a_folder_without_a_model_of_the_usual_name_says_which_file_to_name(tmp_path):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "model.safetensors").rename(folder / "step_100.safetensors")
    assert fault(folder) == (
        "SOURCE has neither model.safetensors nor pytorch_model.bin, it holds a safetensors file: name the file: "
        "SOURCE/step_100.safetensors"
    )


def test_what_is_in_a_file_decides_not_its_name(tmp_path, expected):
    folder = write_huggingface(tmp_path / "hf", MATRICES)
    (folder / "model.safetensors").rename(folder / "weights.bin")
    assert converted(folder / "weights.bin", tmp_path / "csv") == (expected, [])
    (folder / "weights.bin").rename(folder / "pytorch_model.bin")
    assert converted(folder, tmp_path / "csv") == (expected, [])


# wrappers

PARTS = ["module.", "_orig_mod.", "model.", "pretrained_model.", "_fsdp_wrapped_module.", "gpt.", "net.model.", ""]


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("wrapper", [*PARTS, "_orig_mod.module.", "module._orig_mod.model.", "model.module."])
@pytest.mark.parametrize("trunk", ["transformer.", ""])
def test_names_of_wrappers_are_taken_off(tmp_path, expected, wrapper, trunk, linear):
    folder = write_token_files(write_settings(tmp_path / "hf"))
    tensors = (linear_tensors if linear else huggingface_tensors)(MATRICES, trunk)
    save_file({f"{wrapper}{name}": tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert converted(folder, tmp_path / "csv") == (expected, [])


@given(
    outer=st.lists(st.sampled_from(PARTS), max_size=3).map("".join),
    inside=st.sampled_from(["", "_orig_mod.", "module.", "_checkpoint_wrapped_module."]),
)
def test_any_wrappers_around_the_model_and_its_blocks_leave_its_own_names(outer, inside):
    names = [*huggingface_tensors(MATRICES, ""), "lm_head.weight"]
    tensors = {name: Zeros((number,)) for number, name in enumerate(names)}
    wrapped = {
        f"{outer}{'' if name == 'lm_head.weight' else 'transformer.'}{name.replace('h.1.', f'h.1.{inside}')}": tensor
        for name, tensor in tensors.items()
    }
    remarks = []
    assert language_model(wrapped, "m", remarks) == tensors
    assert remarks == []


@pytest.mark.oracle
@pytest.mark.parametrize("wrapper", ["_orig_mod.", "module.", "_orig_mod.module.", "model."])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "last.ckpt"])
def test_names_of_wrappers_are_taken_off_in_pickled_files_too(tmp_path, expected, wrapper, name):
    torch = require("torch", "oracle")
    folder = write_token_files(write_settings(tmp_path / "hf"))
    state = {f"{wrapper}{key}": tensor for key, tensor in torch_tensors(huggingface_tensors(MATRICES)).items()}
    whole = {"state_dict": state, "epoch": 3, "pytorch-lightning_version": "2", "hyper_parameters": {"lr": 0.1}}
    torch.save(whole if name == "last.ckpt" else state, folder / name)
    assert converted(folder if name != "last.ckpt" else folder / name, tmp_path / "csv") == (expected, [])


def test_two_models_in_one_file_are_not_mixed(tmp_path):
    folder = write_token_files(write_settings(tmp_path / "hf"))
    tensors = huggingface_tensors(MATRICES)
    both = {f"{prefix}{name}": tensor for prefix in ("model.", "ema.") for name, tensor in tensors.items()}
    save_file(both, folder / "model.safetensors")
    assert fault(folder) == "SOURCE holds 2 models: ema.transformer., model.transformer.: save one of them alone"
    twice = tensors | {"module.transformer.ln_f.weight": tensors["transformer.ln_f.weight"] + 1}
    save_file(twice, folder / "model.safetensors")
    assert fault(folder) == (
        "SOURCE holds transformer.ln_f.weight twice, in a wrapper and outside of it: save one model alone"
    )


# other heads

HEADS = {
    "score.weight": (2, 12), "classifier.weight": (3, 12), "classifier.bias": (3,), "qa_outputs.weight": (2, 12),
    "multiple_choice_head.summary.weight": (1, 12), "v_head.summary.weight": (1, 12), "v_head.summary.bias": (1,),
    "value_head.0.weight": (1, 12), "reward_head.weight": (1, 12), "critic.weight": (1, 12),
}  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("wrapper", ["", "model."])
def test_another_head_is_left_out_with_a_remark(tmp_path, expected, head, wrapper):
    folder = write_token_files(write_settings(tmp_path / "hf"))
    tensors = huggingface_tensors(MATRICES) | {head: np.ones(HEADS[head], np.float32)}
    save_file({f"{wrapper}{name}": tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    remark = f"no part of the language model, left out: {wrapper}{head}"
    assert converted(folder, tmp_path / "csv") == (expected, [remark])


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["GPT2ForSequenceClassification", "GPT2DoubleHeadsModel", "GPT2ForQuestionAnswering"])
def test_what_transformers_saves_with_another_head_is_converted(tmp_path, kind):
    transformers = require("transformers", "oracle")
    config = transformers.GPT2Config(n_layer=2, n_head=3, n_embd=12, n_positions=16, vocab_size=262)
    getattr(transformers, kind)(config).save_pretrained(tmp_path / "hf")
    remarks = converted(tmp_path / "hf", tmp_path / "csv")[1]
    assert [remark for remark in remarks if remark.startswith("no part of the language model, left out: ")]


# the head that a configuration tells of


def test_an_untied_head_that_is_missing_is_remarked(tmp_path, expected):
    folder = write_huggingface(tmp_path / "hf", MATRICES, tie_word_embeddings=False)
    done = sheetgpt("convert-weights", folder, tmp_path / "csv")
    assert (done.code, contents(tmp_path / "csv")) == (0, expected)
    assert done.err.startswith(
        "Note: config.json says that the language head is not tied to the embeddings, and no lm_h"
    )


# what a pickle holds beside the tensors


def extras():
    torch = require("torch", "oracle")
    np.random.seed(1)  # noqa: NPY002 - the state of the old generator is what programs save
    named = collections.defaultdict(list, a=[1])
    parameter = torch.nn.Parameter(torch.zeros(3, 2))
    parameter.tag = "carried"
    return {
        "dtype": torch.float32,
        "every dtype": [torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.uint8, torch.float8_e4m3fn],
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "layout": torch.strided,
        "numpy scalar": np.float64(0.5),
        "numpy scalars": [np.int64(3), np.float32(1), np.bool_(True)],
        "numpy array": np.arange(4.0),
        "numpy random state": np.random.get_state(),  # noqa: NPY002
        "numpy generator": np.random.default_rng(1),
        "numpy old generator": np.random.RandomState(1),
        "random state": random.getstate(),
        "torch random state": torch.get_rng_state(),
        "defaultdict": named,
        "counter": collections.Counter("aab"),
        "deque": collections.deque([1, 2]),
        "set": {1, 2},
        "path": pathlib.PurePosixPath("out"),
        "real path": pathlib.Path("out"),
        "parameter with an attribute": parameter,
        "bytes": b"abc",
        "complex": 1j,
        "namespace": __import__("argparse").Namespace(lr=0.1, out=pathlib.Path("out")),
        "transformers' configuration": require("transformers", "oracle").GPT2Config(),
        "transformers' arguments": require("transformers", "oracle").IntervalStrategy.STEPS,
        "date": __import__("datetime").datetime(2020, 1, 1),
        "sparse": torch.eye(2).to_sparse(),
        "none": None,
    }


@pytest.mark.oracle
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_harmless_extras_are_read_past_without_running_anything(tmp_path, expected, legacy, protocol):
    torch = require("torch", "oracle")
    folder = write_token_files(tmp_path)
    state = torch_tensors(linear_tensors(MATRICES))
    file = folder / "ckpt.pt"
    failed = {}
    for name, extra in extras().items():
        torch.save(
            {"model": state, "model_args": MODEL_ARGS, "extra": extra, "config": {"deep": {"extra": [extra]}}},
            file,
            pickle_protocol=protocol,
            _use_new_zipfile_serialization=not legacy,
        )
        try:
            assert converted(file, tmp_path / "csv")[0] == expected
        except Exception as error:  # noqa: BLE001 - all that fail are told at once
            failed[name] = error
    assert failed == {}


@pytest.mark.parametrize("name", ["__main__.cfg", "my.config.Settings", "typing.Any", "box.box.Box", "a.B.C"])
def test_classes_of_any_program_are_idle_objects(tmp_path, name):
    module, _, last = name.rpartition(".") if name != "a.B.C" else ("a", "", "B.C")
    spelled = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, last))
    code = b"\x80\x04" + spelled + b"\x93)\x81}\x8c\x06n_headK\x05sb."
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("archive/data.pkl", code)
    loaded = pickled.load(tmp_path / "m.pt")
    assert type(loaded) is pickled.Attributes
    assert loaded.n_head == 5


@pytest.mark.oracle
def test_what_was_read_past_is_remarked(tmp_path):
    torch = require("torch", "oracle")
    state = torch_tensors(linear_tensors(MATRICES))
    torch.save({"model": state, "model_args": MODEL_ARGS, "path": pathlib.PurePosixPath("a")}, tmp_path / "ckpt.pt")
    module = pathlib.PurePosixPath.__module__
    assert f"no part of the weights, read past without running anything: {module}.PurePosixPath" in (
        open_source(str(tmp_path / "ckpt.pt")).remarks
    )


@pytest.mark.oracle
def test_parameters_that_carry_attributes_are_tensors(tmp_path, expected):
    torch = require("torch", "oracle")
    folder = write_token_files(write_settings(tmp_path / "hf"))
    state = {}
    for name, tensor in torch_tensors(huggingface_tensors(MATRICES)).items():
        state[name] = torch.nn.Parameter(tensor)
        state[name].tag = {"is": [1]}
    torch.save(state, folder / "pytorch_model.bin")
    assert converted(folder, tmp_path / "csv")[0] == expected


@pytest.mark.oracle
def test_heads_that_are_a_numpy_scalar_are_known(tmp_path, expected):
    torch = require("torch", "oracle")
    write_token_files(tmp_path)
    state = torch_tensors(linear_tensors(MATRICES))
    torch.save({"model": state, "config": {"n_head": np.int64(3)}}, tmp_path / "ckpt.pt")
    assert converted(tmp_path / "ckpt.pt", tmp_path / "csv")[0] == expected


@pytest.mark.oracle
def test_counters_among_the_tensors_and_other_states_beside_them_are_left(tmp_path, expected):
    torch = require("torch", "oracle")
    write_token_files(tmp_path)
    state = torch_tensors(linear_tensors(MATRICES))
    other = torch_tensors(linear_tensors(OTHER))
    file = tmp_path / "any.pt"
    torch.save(state | {"step": 3, "lr": np.float64(0.1)}, file)
    assert converted(file, tmp_path / "csv", n_head=3) == (expected, [])
    torch.save({"ema": other, "model": state}, file)
    got, remarks = converted(file, tmp_path / "csv", n_head=3)
    assert (got, remarks) == (expected, ["the model is what the file holds as 'model'; not read: 'ema'"])
    torch.save({"weights_of_mine": state, "loss": torch.tensor(1.5)}, file)
    assert converted(file, tmp_path / "csv", n_head=3)[0] == expected


@pytest.mark.oracle
def test_a_whole_model_object_is_read_as_its_state(tmp_path, expected):
    torch, transformers = require("torch", "oracle"), require("transformers", "oracle")
    config = transformers.GPT2Config(n_layer=2, n_head=3, n_embd=12, n_positions=16, vocab_size=262)
    model = transformers.GPT2LMHeadModel(config)
    wte = MATRICES["model_wte"]
    model.load_state_dict(torch_tensors(huggingface_tensors(MATRICES | {"model_lm_head": wte})))
    write_token_files(tmp_path)
    torch.save(model, tmp_path / "whole.pt")
    assert converted(tmp_path / "whole.pt", tmp_path / "csv")[0] == expected
    torch.save({"epoch": 1, "model": model}, tmp_path / "whole.pt")
    assert converted(tmp_path / "whole.pt", tmp_path / "csv", n_head=3)[0] == expected


def test_json_remarks_are_in_the_data(tmp_path):
    folder = write_huggingface(tmp_path / "hf", MATRICES, tie_word_embeddings=False)
    done = sheetgpt("convert-weights", folder, tmp_path / "csv", "--json")
    assert done.err == ""
    assert len(json.loads(done.out)["remarks"]) == 1
