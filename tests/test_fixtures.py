"""Fixtures in every format and convention: what is written, what others see, what comes back, what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from safetensors import safe_open

from command_line import sheetgpt
from models import ODD_HEADS, ONE_BLOCK, SMALL, random_ids, write_random_model
from sheetgpt import load_model
from sheetgpt.diff.compare import diff
from sheetgpt.diff.sides.side import RunSource, open_source
from sheetgpt.errors import DumpError, SheetGPTError, StageError
from sheetgpt.fixtures import arrays as fixtures
from sheetgpt.fixtures import files as fixture_files
from sheetgpt.fixtures.table import CONVENTIONS

SUFFIXES = [".npz", ".safetensors", ".json"]
PROMPT = "Mike is quick. He moves"
IDS = random_ids(SMALL, 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixtures") / "w"
    write_random_model(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def trace(model):
    return model.run(token_ids=IDS)


def matrix_of(trace, name):
    return np.atleast_2d(trace.array(name))


# ------------------------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("config", [SMALL, ONE_BLOCK, ODD_HEADS], ids=["small", "one block", "odd heads"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("names", CONVENTIONS)
def test_every_convention_in_every_format_comes_back_bit_for_bit(config, dtype, names, tmp_path):
    write_random_model(tmp_path / "w", config)
    model, ids = load_model(tmp_path / "w", dtype), random_ids(config, 6)
    trace, made = model.run(token_ids=ids), fixtures.make(model, token_ids=ids, names=names)
    for suffix in SUFFIXES:
        back = fixtures.read(made.save(tmp_path / f"f{suffix}"))
        assert len(back) > 15 * config.n_layer - 4
        for name, read in back.items():
            matrix, ours = read, matrix_of(trace, name)
            assert matrix.shape == ours.shape, name
            if name.endswith("_step_6"):
                seen = ours > -1e9
                assert np.all(read[~seen] == CONVENTIONS[names].masked) or names == "reference"
                matrix, ours = read[seen], ours[seen]
            if name in fixtures.HEAD_STAGES and names not in ("reference", "webgpt"):
                # there all rows are computed at once: the last one's sum may be added up in another order
                np.testing.assert_allclose(matrix, ours, rtol=0, atol=np.finfo(dtype).eps * 100 * np.abs(ours).max())
            else:
                np.testing.assert_array_equal(matrix, ours, err_msg=name)


@pytest.mark.parametrize("names", CONVENTIONS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_diff_finds_a_fixture_equal_to_its_run(names, suffix, model, trace, tmp_path):
    fixtures.make(model, token_ids=IDS, names=names).save(tmp_path / f"f{suffix}")
    report = diff(RunSource(trace), open_source(str(tmp_path / f"f{suffix}")))
    assert report.equal, report.first
    assert report.precision == ("float64", "float64")


@pytest.mark.parametrize("names", CONVENTIONS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_diff_names_the_stage_that_a_port_got_wrong(names, suffix, model, trace, tmp_path):
    made = fixtures.make(model, token_ids=IDS, names=names)
    name = next(about["name"] for about in made.manifest["arrays"] if about["stage"] == "block_1_step_9")
    ported = {**made.arrays, name: made.arrays[name] * 1.01}
    port = tmp_path / f"port{suffix}"
    fixture_files.save(port, ported, made.manifest if suffix == ".json" else {}, names)
    if suffix == ".json":  # a port's own file has no manifest of ours
        content = json.loads(port.read_text())
        del (content[0] if isinstance(content, list) else content)["manifest"]
        port.write_text(json.dumps(content))
    report = diff(RunSource(trace), open_source(str(port)))
    assert report.first.stage == "block_1_step_9"


def test_the_command_writes_what_diff_finds_equal(tmp_path):
    file = tmp_path / "oracle.safetensors"
    out = sheetgpt("fixtures", PROMPT, "-o", file, "--names", "transformerlens", "--stages", "block_0_*").out
    assert "blocks.0.attn.hook_pattern" in out
    assert f"Wrote {file}" in out
    result = sheetgpt("diff", f"run:{PROMPT}", file)
    assert result.code == 0, result.err
    assert "No stage diverges" in result.out


def test_a_longer_chain_of_conventions_keeps_every_number(model, tmp_path):
    """Whatever convention a matrix went through, our matrix is the same."""
    through = [
        fixtures.read(fixtures.make(model, token_ids=IDS, names=names).save(tmp_path / f"{names}.npz"))
        for names in CONVENTIONS
    ]
    for stage in set.intersection(*map(set, through)):
        for other in through[1:]:
            np.testing.assert_allclose(other[stage], through[0][stage], rtol=1e-13, err_msg=stage)


# ------------------------------------------------------------------------------------------------ choosing stages


def stages_of(made):
    return {about["stage"] for about in made.manifest["arrays"]}


def test_a_pattern_chooses_the_stages_of_a_block(model):
    made = fixtures.make(model, token_ids=IDS, stages=["block_0_*"])
    assert stages_of(made) == {name for name in model.run(token_ids=IDS) if name.startswith("block_0_")}
    assert next(iter(made.arrays)) == "block_0_step_1"


def test_patterns_may_be_the_conventions_own_names_and_add_up(model):
    made = fixtures.make(model, token_ids=IDS, names="transformerlens", stages=["blocks.*.attn.hook_pattern", "logits"])
    assert stages_of(made) == {"block_0_step_7", "block_1_step_7", "logits"}


@pytest.mark.parametrize(
    ("stages", "names", "message"),
    [
        (["block_7_*"], "reference", r"no stage is called 'block_7_\*'; did you mean .*`sheetgpt stages` lists them"),
        (["block_0_step7"], "reference", "no stage is called 'block_0_step7'; did you mean block_0_step_7"),
        (["blocks.0.hook_patern"], "transformerlens", "did you mean .*blocks.0.attn.hook_pattern"),
        (
            ["triangle_matrix"],
            "webgpt",
            "webgpt has no name for triangle_matrix: leave it out, or use --names reference",
        ),
        (["block_0_step_4"], "llm-viz", "use --names reference or huggingface or webgpt"),
        (["prompt_to_tokens"], "reference", "prompt_to_tokens is text, which fixtures don't hold"),
        (["position_table"], "reference", "no stage is called 'position_table'"),
    ],
)
def test_a_stage_that_can_not_be_had_is_one_line(model, stages, names, message):
    with pytest.raises(StageError, match=message):
        fixtures.make(model, token_ids=IDS, stages=stages, names=names)


def test_a_pattern_leaves_out_what_the_convention_has_no_name_for(model):
    made = fixtures.make(model, token_ids=IDS, stages=["block_0_step_[45]*"], names="transformerlens")
    assert stages_of(made) == {"block_0_step_5_queries", "block_0_step_5_keys", "block_0_step_5_values"}


def test_heads_may_be_padded_as_the_reference_has_them(model, trace, tmp_path):
    ids = IDS[:4]  # as many tokens as a head of this model is wide
    made = fixtures.make(model, token_ids=ids, head_layout="reference", stages=["block_0_step_7"])
    assert made.arrays["block_0_step_7"].shape == (4, SMALL.n_embd)
    made.save(tmp_path / "f.npz")
    assert diff(RunSource(model.run(token_ids=ids)), open_source(str(tmp_path / "f.npz"))).equal
    with pytest.raises(StageError, match="holds 4 tokens"):
        fixtures.make(model, token_ids=IDS, head_layout="reference")
    with pytest.raises(StageError, match="use it with --names reference"):
        fixtures.make(model, token_ids=ids, head_layout="reference", names="webgpt")


@pytest.mark.parametrize("position", ["sinusoidal", "rotary"])
def test_models_with_other_positions_have_their_own_stages(position, tmp_path):
    config = replace(SMALL, position=position)
    write_random_model(tmp_path / "w", config)
    model = load_model(tmp_path / "w")
    own = {"sinusoidal": "position_table", "rotary": "block_1_step_5_keys_rotated"}[position]
    assert own in fixtures.make(model, token_ids=IDS).arrays
    lens = fixtures.make(model, token_ids=IDS, names="transformerlens")
    assert "hook_pos_embed" not in lens.arrays
    lens.save(tmp_path / "f.npz")
    assert diff(RunSource(model.run(token_ids=IDS)), open_source(str(tmp_path / "f.npz"))).equal


# ------------------------------------------------------------------------------------------------ the manifest


@pytest.mark.parametrize("names", CONVENTIONS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_manifest_tells_shape_type_and_checksum_of_every_array(names, suffix, model, tmp_path):
    made = fixtures.make(model, token_ids=IDS, names=names)
    loaded = fixture_files.load(made.save(tmp_path / f"f{suffix}"))
    assert [about["name"] for about in loaded.manifest["arrays"]] == list(made.arrays)
    for about in loaded.manifest["arrays"]:
        array = loaded[about["name"]]
        assert list(array.shape) == about["shape"]
        assert array.dtype == about["dtype"]
        assert hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest() == about["sha256"]
    assert loaded.manifest["names"] == names
    assert [token["id"] for token in loaded.manifest["tokens"]] == IDS
    assert loaded.manifest["constants"]["n_head"] == SMALL.n_head


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_run_gives_the_same_file(suffix, model, tmp_path):
    made = fixtures.make(model, token_ids=IDS)
    files = [made.save(tmp_path / name / f"f{suffix}").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_the_documentations_first_command_and_its_reader_work(tmp_path):
    text = (Path(__file__).resolve().parents[1] / "docs" / "fixtures.md").read_text(encoding="utf-8")
    command = re.search(r"```sh\nsheetgpt (.*)\n", text)[1]
    assert sheetgpt(*shlex.split(command), cwd=tmp_path).code == 0
    reader = re.search(r"```python\n(import .*?)```", text, re.DOTALL)[1].replace(
        "oracle.npz", str(tmp_path / "oracle.npz")
    )
    scope = {}
    exec(reader, scope)
    assert scope["manifest"]["prompt"] == PROMPT
    scope["file"].close()


def test_any_reader_of_npz_and_safetensors_finds_the_manifest(model, tmp_path):
    made = fixtures.make(model, token_ids=IDS)
    with np.load(made.save(tmp_path / "f.npz")) as file:
        assert json.loads(file["manifest"].tobytes()) == made.manifest
    with safe_open(made.save(tmp_path / "f.safetensors"), "numpy") as file:
        assert json.loads(file.metadata()["manifest"]) == made.manifest
    assert json.loads((made.save(tmp_path / "f.json")).read_text())["manifest"] == made.manifest


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_array_that_was_changed_behind_the_manifests_back_is_told(suffix, model, tmp_path):
    made = fixtures.make(model, token_ids=IDS, names="huggingface")
    changed = {**made.arrays, "logits": made.arrays["logits"] + 1}
    fixture_files.save(tmp_path / f"f{suffix}", changed, made.manifest, "huggingface")
    with pytest.raises(DumpError, match="logits has changed since it was written"):
        fixtures.read(tmp_path / f"f{suffix}")


def test_json_prints_the_manifest(folder, tmp_path):
    ids = ",".join(map(str, IDS))
    result = sheetgpt(
        "fixtures", "--token-ids", ids, "--weights", folder, "-o", tmp_path / "f.json", "--stages", "logits", "--json"
    )
    data = json.loads(result.out)
    assert data["arrays"][0]["shape"] == [SMALL.n_vocab, 1]
    assert data["file"] == str(tmp_path / "f.json")


# ------------------------------------------------------------------------------------------------ others' readers


def test_json_holds_nested_lists_of_the_shortest_decimals(model, trace, tmp_path):
    made = fixtures.make(model, token_ids=IDS, names="transformerlens")
    content = json.loads(made.save(tmp_path / "f.json").read_text())
    assert content["hook_embed"] == trace.array("token_embeddings")[None].tolist()
    scores = content["blocks.0.attn.hook_attn_scores"][0][0]
    assert scores[0][1:] == ["-Infinity"] * 4
    assert scores[4] == trace.array("block_0_step_6")[4, :5].tolist()


def test_webgpts_validation_could_read_its_json(model, trace, tmp_path):
    """A list of states; of every key a shape, and nested numbers that are as many as the shape says."""
    states = json.loads(
        fixtures.make(model, token_ids=IDS, names="webgpt").save(tmp_path / "f.json").read_text(),
        parse_constant=pytest.fail,
    )
    assert len(states) == 1
    for name, item in states[0].items():
        assert np.asarray(item["data"], np.float32).size == np.prod(item["shape"]), name
    expected = {"tok_pos_emb", "ln_f", "logits"} | {f"block1_{part}" for part in "ln1 attn r1 ln2 mlp r2".split()}
    for name in expected:
        assert states[0][name]["shape"] == [1, *({"logits": [1, SMALL.n_vocab]}.get(name, [5, SMALL.n_embd]))]
    np.testing.assert_array_equal(states[0]["logits"]["data"][0][0], trace.array("logits")[:, 0])
    scores = np.array(states[0]["block0_causalMaskResultBuffer"]["data"])
    assert scores.shape == (SMALL.n_head * 5, 5)
    assert np.all(scores[0, 1:] == -1e9)


def test_llm_vizs_reader_could_read_its_json(folder, tmp_path):
    """Of every key with a shape: float32 as base64, as many as the shape says."""
    file = tmp_path / "f.json"
    sheetgpt("fixtures", "--token-ids", "1,2,3", "--weights", folder, "--names", "llm-viz", "-o", file)
    content = json.loads(file.read_text())
    arrays = {name: item for name, item in content.items() if "shape" in item}
    for item in arrays.values():
        assert item["dtype"] == "torch.float32"
        assert len(base64.b64decode(item["data"])) == 4 * np.prod(item["shape"])
    assert set(content) - set(arrays) == {"manifest", "config"}
    assert content["config"]["n_head"] == SMALL.n_head
    captured = "idx tok_emb pos_emb x ln1 q k v att attSm y yProj attnResid ln2 fc gelu mlp mlpResid block0 block1 ln_f"
    assert set(captured.split()) <= set(arrays)
    assert arrays["q"]["shape"] == [1, SMALL.n_head, 3, SMALL.head_size]
    probabilities = np.frombuffer(base64.b64decode(arrays["probs"]["data"]), "<f4").reshape(arrays["probs"]["shape"])
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)


# ------------------------------------------------------------------------------------------------ others' files


def lens_arrays(model, dtype=np.float32):
    return {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in fixtures.make(model, token_ids=IDS, names="transformerlens").arrays.items()
    }


def test_a_cache_without_batch_axis_is_read(model, trace, tmp_path):
    np.savez(tmp_path / "c.npz", **{name: array[0] for name, array in lens_arrays(model).items()})
    assert diff(RunSource(trace), open_source(str(tmp_path / "c.npz"))).equal


def test_of_a_batch_the_first_prompt_is_read(model, trace, tmp_path):
    batch = {name: np.concatenate([array, array * 2]) for name, array in lens_arrays(model).items()}
    np.savez(tmp_path / "c.npz", **batch)
    assert diff(RunSource(trace), open_source(str(tmp_path / "c.npz"))).equal


def test_the_cache_of_an_older_transformerlens_has_its_layer_norms_behind_gain_and_bias(model, trace, tmp_path):
    cache = lens_arrays(model)
    for out in [name for name in cache if name.endswith("hook_out") and "ln" in name]:
        cache[out.replace("hook_out", "hook_normalized")] = cache.pop(out)
    np.savez(tmp_path / "c.npz", **cache)
    side = open_source(str(tmp_path / "c.npz"))
    assert diff(RunSource(trace), side).equal
    assert {"block_0_step_3", "predicted_embedding"} <= set(side.names)
    assert "block_0_step_2" not in side.names


def test_of_webgpts_states_the_first_is_read(model, trace, tmp_path):
    file = fixtures.make(model, token_ids=IDS, names="webgpt").save(tmp_path / "f.json")
    (state,) = json.loads(file.read_text())
    del state["manifest"]
    file.write_text(json.dumps([state, {"tok_pos_emb": {"shape": [1, 1, 1], "data": [[[0]]]}}]))
    assert diff(RunSource(trace), open_source(str(file))).equal


def test_a_matrix_of_ours_in_another_layout_is_still_understood_by_diff(model, trace, tmp_path):
    heads = trace.array("block_0_step_7").reshape(5, SMALL.n_head, 5).swapaxes(0, 1)
    np.savez(tmp_path / "port.npz", block_0_step_7=heads[None], token_embeddings=trace.array("token_embeddings"))
    assert diff(RunSource(trace), open_source(str(tmp_path / "port.npz"))).equal


# ------------------------------------------------------------------------------------------------ refusals


def test_an_unknown_suffix_is_told_before_anything_runs(tmp_path):
    error = sheetgpt("fixtures", "hello", "-o", tmp_path / "f.txt", "--weights", tmp_path / "nowhere").error
    assert "f.txt ends in .txt: fixtures are written as .npz, .safetensors, .json" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "f.npz"], "either a prompt or token ids"),
        (["hi", "-o", "f.npz", "--names", "llmc"], "'llmc' is not one of 'reference'"),
        (["hi"], "Missing option '-o'"),
        (["hi", "-o", "f.npz", "--stages", "blok_0"], "no stage is called 'blok_0'"),
        (["hi", "-o", "f.npz", "--stages", "triangle_matrix", "--names", "webgpt"], "webgpt has no name for"),
        (["hi", "-o", ""], "ends in nothing"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(arguments, message, tmp_path):
    assert message in sheetgpt("fixtures", *arguments, cwd=tmp_path).error
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_files_place_is_one_line(model, tmp_path):
    (tmp_path / "f.npz" / "inside").mkdir(parents=True)
    with pytest.raises(DumpError, match="can't write .*f.npz"):
        fixtures.make(model, token_ids=IDS).save(tmp_path / "f.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_write_leaves_what_stood_there(suffix, model, tmp_path, monkeypatch):
    file = fixtures.make(model, token_ids=IDS).save(tmp_path / f"f{suffix}")
    before = file.read_bytes()

    def interrupted(out, *_):
        out.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(fixture_files.FORMATS, suffix, (interrupted, None))
    with pytest.raises(KeyboardInterrupt):
        fixtures.make(model, token_ids=IDS[:2]).save(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_torn_file_is_one_line_wherever_it_is_torn(suffix, model, tmp_path):
    whole = fixtures.make(model, token_ids=IDS, stages=["block_0_*"]).save(tmp_path / f"f{suffix}").read_bytes()
    torn = tmp_path / f"torn{suffix}"
    for part in range(20):
        torn.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(SheetGPTError) as found:
            fixtures.read(torn)
        assert "\n" not in str(found.value)
        assert str(torn) in str(found.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_with_one_byte_changed_is_read_right_or_refused(suffix, model, tmp_path):
    made = fixtures.make(model, token_ids=IDS, stages=["block_0_step_[1-7]*"])
    whole = bytearray(made.save(tmp_path / f"f{suffix}").read_bytes())
    expected = fixtures.read(tmp_path / f"f{suffix}")
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / f"damaged{suffix}").write_bytes(damaged)
        back = {}
        with suppress(SheetGPTError):
            back = fixtures.read(tmp_path / f"damaged{suffix}")
        for name, matrix in back.items():
            np.testing.assert_array_equal(matrix, expected[name])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "can't be read as .json"),
        ("3", "no object of arrays"),
        ("[]", "no object of arrays"),
        ("{}", "holds no array that is called like a stage"),
        ('{"weights": [1, 2]}', "holds no array that is called like a stage"),
        ('{"hook_embed": [[1, 2], [3]]}', "hook_embed is damaged"),
        ('{"hook_embed": [[["a"]]]}', "hook_embed is damaged"),
        ('{"hook_embed": [[[[1]]]]}', "which doesn't fit its axes 1 T d"),
        ('{"tok_emb": {"shape": [1, 2, 3], "dtype": "torch.float32", "data": "AAAA"}}', "tok_emb is damaged"),
        ('{"tok_emb": {"shape": [1], "dtype": "torch.bfloat16", "data": "AAAA"}}', "tok_emb is damaged"),
        ('{"tok_emb": {"shape": [1], "dtype": "O", "data": "AAAAAAAAAAA="}}', "tok_emb is damaged"),
        ('{"tok_emb": {"shape": [99999999999, 9999999999], "data": [1]}}', "tok_emb is damaged"),
        ('{"manifest": 3, "hook_embed": [[[1]]]}', "its manifest is none of ours"),
        ('{"manifest": {"arrays": []}, "hook_embed": [[[1]]]}', "a manifest that is none of ours"),
        ('{"manifest": {"arrays": [3]}, "hook_embed": [[[1]]]}', "can't be read as .json"),
        ("[" * 100_000, "can't be read as .json"),
    ],
)
def test_a_foreign_json_that_makes_no_sense_is_one_line(content, message, tmp_path):
    (tmp_path / "f.json").write_text(content)
    with pytest.raises(DumpError, match=message) as found:
        fixtures.read(tmp_path / "f.json")
    assert "\n" not in str(found.value)


def test_an_npz_that_claims_an_absurd_size_is_refused(tmp_path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (1, 10**9, 10**9)}
    with ZipFile(tmp_path / "f.npz", "w") as file, file.open("hook_embed.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, header)
    with pytest.raises(DumpError, match="hook_embed is damaged"):
        fixtures.read(tmp_path / "f.npz")


def test_an_npz_of_pickles_is_refused(tmp_path):
    np.savez(tmp_path / "f.npz", hook_embed=np.array([[print]], object))
    with pytest.raises(DumpError, match="hook_embed is damaged"):
        fixtures.read(tmp_path / "f.npz")


def test_diff_of_a_file_that_is_no_fixture_is_one_line(tmp_path):
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1"}')
    error = sheetgpt("diff", f"run:{PROMPT}", tmp_path / "package.json").error
    assert "holds no array that is called like a stage: `sheetgpt stages` lists the names" in error


def test_a_rung_of_the_ladder_is_refused(tmp_path):
    write_random_model(tmp_path / "w", replace(SMALL, model="bigram"))
    with pytest.raises(StageError, match="this model is a bigram"):
        fixtures.make(load_model(tmp_path / "w"), token_ids=IDS)
