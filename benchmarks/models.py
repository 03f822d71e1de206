"""Models of GPT-2 small's size with random weights, made once under the temporary folder and never committed.

The same numbers as the CSV folder that sheetgpt reads, and as the folder that transformers reads.
"""

from __future__ import annotations

import json
import os
import tempfile
from itertools import islice, product
from pathlib import Path

import numpy as np

from sheetgpt.models.config import Config

FOLDER = Path(os.environ.get("SHEETGPT_BENCHMARKS", Path(tempfile.gettempdir()) / "sheetgpt_benchmarks"))
GPT2_SMALL = Config(n_layer=12, n_head=12, n_embd=768, n_ctx=1024, n_vocab=50257)
MATRICES = {  # our name in a block -> (transformers' name, shape in units of n_embd)
    "ln_1_g": ("ln_1.weight", (0, 1)),
    "ln_1_b": ("ln_1.bias", (0, 1)),
    "attn_c_attn_w": ("attn.c_attn.weight", (1, 3)),
    "attn_c_attn_b": ("attn.c_attn.bias", (0, 3)),
    "attn_c_proj_w": ("attn.c_proj.weight", (1, 1)),
    "attn_c_proj_b": ("attn.c_proj.bias", (0, 1)),
    "ln_2_g": ("ln_2.weight", (0, 1)),
    "ln_2_b": ("ln_2.bias", (0, 1)),
    "mlp_c_fc_w": ("mlp.c_fc.weight", (1, 4)),
    "mlp_c_fc_b": ("mlp.c_fc.bias", (0, 4)),
    "mlp_c_proj_w": ("mlp.c_proj.weight", (4, 1)),
    "mlp_c_proj_b": ("mlp.c_proj.bias", (0, 1)),
}


def random_weights(config: Config = GPT2_SMALL, seed: int = 1) -> dict[str, np.ndarray]:
    """float32 matrices by name, [in, out] and [1, n], about as large as a trained GPT-2's."""
    rng, d = np.random.default_rng(seed), config.n_embd

    def normal(rows, columns, mean=0.0):
        return rng.standard_normal((rows, columns), np.float32) * np.float32(0.02) + np.float32(mean)

    weights = {"model_wte": normal(config.n_vocab, d), "model_wpe": normal(config.n_ctx, d)}
    for block in range(config.n_layer):
        for name, (_, (rows, columns)) in MATRICES.items():
            weights[f"model_h{block}_{name}"] = normal(max(1, rows * d), columns * d, mean=float(name.endswith("_g")))
    return weights | {"model_ln_f_g": normal(1, d, mean=1.0), "model_ln_f_b": normal(1, d)}


def transformers_model(weights: dict[str, np.ndarray], config: Config = GPT2_SMALL, **options):
    """transformers' GPT2LMHeadModel with these weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.n_vocab, n_positions=config.n_ctx, n_embd=config.n_embd, n_layer=config.n_layer,
            n_head=config.n_head, **options,
        )
    )  # fmt: skip
    theirs = {"transformer.wte.weight": "model_wte", "transformer.wpe.weight": "model_wpe"}
    theirs |= {"transformer.ln_f.weight": "model_ln_f_g", "transformer.ln_f.bias": "model_ln_f_b"}
    for block in range(config.n_layer):
        for ours, (name, _) in MATRICES.items():
            theirs[f"transformer.h.{block}.{name}"] = f"model_h{block}_{ours}"
    state = model.state_dict()
    for name, ours in theirs.items():
        state[name].copy_(torch.from_numpy(weights[ours].reshape(state[name].shape)))
    return model.eval()


def random_model(dtype: str = "float32", config: Config = GPT2_SMALL, seed: int = 1):
    """sheetgpt's model with these weights, in memory; without a tokenizer, so it takes token ids."""
    from sheetgpt.model import Model
    from sheetgpt.weights.folder import Weights

    weights = {name: matrix.astype(dtype, copy=False) for name, matrix in random_weights(config, seed).items()}
    return Model(Weights(weights, config, FOLDER, dtype), None)


def token_table() -> tuple[list[tuple[str, str]], list[str]]:
    """A made-up tokenizer of GPT-2's size: (merges, tokens). Every pair of letters is a token."""
    from sheetgpt.bpe.words import ALPHABET

    count = GPT2_SMALL.n_vocab - len(ALPHABET) - 1
    merges = list(islice(product(ALPHABET, ALPHABET), count))
    return merges, [*ALPHABET, *(left + right for left, right in merges), "<|endoftext|>"]


def csv_folder() -> Path:
    """The random GPT-2 small as the CSV folder that sheetgpt reads, 1.5 GB, with a token table; made on first use."""
    return made("gpt2_small_csv", _write_csv)


def transformers_folder() -> Path:
    """The same model as a folder that transformers reads."""
    return made("gpt2_small_hf", _write_transformers)


def made(name: str, write) -> Path:
    """A folder under FOLDER that `write(folder)` makes on first use."""
    folder = FOLDER / name
    if not folder.exists():
        temporary = FOLDER / f".{name}.{os.getpid()}"
        temporary.mkdir(parents=True)
        print(f"making {folder} ...", flush=True)
        write(temporary)
        temporary.replace(folder)
    return folder


def _write_csv(folder: Path) -> None:
    from sheetgpt.bpe import write_tables
    from sheetgpt.weights.folder import write_weights

    write_weights(folder, GPT2_SMALL, random_weights())
    write_tables(folder, *token_table())


def _write_transformers(folder: Path) -> None:
    transformers_model(random_weights()).save_pretrained(folder)
    merges, tokens = token_table()
    spelled = {token.replace(" ", "Ġ"): i for i, token in enumerate(tokens)}
    lines = [f"{left} {right}" for left, right in ((a.replace(" ", "Ġ"), b.replace(" ", "Ġ")) for a, b in merges)]
    special = "<|endoftext|>"
    about = {"tokenizer_class": "GPT2Tokenizer", "unk_token": special, "bos_token": special, "eos_token": special}
    (folder / "vocab.json").write_text(json.dumps(spelled, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
