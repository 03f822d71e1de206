"""Hugging Face's own GPT-2 with given weights, for tests that hold ours against it."""

from __future__ import annotations

from conftest import require
from sheetgpt.models.config import Config


def huggingface_model(config: Config, matrices: dict):
    """The same weights in Hugging Face's own model, eager attention, in evaluation mode."""
    torch, transformers = require("torch", "oracle"), require("transformers", "oracle")
    settings = transformers.GPT2Config(
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        n_positions=config.n_ctx,
        vocab_size=config.n_vocab,
    )
    settings._attn_implementation = "eager"
    model = transformers.GPT2LMHeadModel(settings).eval()
    theirs = {"ln_1_g": "ln_1.weight", "ln_1_b": "ln_1.bias", "ln_2_g": "ln_2.weight", "ln_2_b": "ln_2.bias"}
    theirs |= {
        f"{part}_{letter}": f"{part.replace('_', '.', 1)}.{word}"
        for part in ("attn_c_attn", "attn_c_proj", "mlp_c_fc", "mlp_c_proj")
        for letter, word in (("w", "weight"), ("b", "bias"))
    }
    state = {"transformer.wte.weight": matrices["model_wte"], "transformer.wpe.weight": matrices["model_wpe"]}
    state |= {
        "transformer.ln_f.weight": matrices["model_ln_f_g"][0],
        "transformer.ln_f.bias": matrices["model_ln_f_b"][0],
    }
    for block in range(config.n_layer):
        for ours, name in theirs.items():
            matrix = matrices[f"model_h{block}_{ours}"]
            state[f"transformer.h.{block}.{name}"] = matrix if ours.endswith("_w") else matrix[0]
    state["lm_head.weight"] = matrices["model_wte"]
    model.load_state_dict({name: torch.tensor(matrix) for name, matrix in state.items()})
    return model


def local_tokenizer(folder, n_vocab: int):
    """A tokenizer that needs no download; it is asked for, and not used."""
    tokenizers, transformers = require("tokenizers", "test"), require("transformers", "oracle")
    words = tokenizers.models.WordLevel({f"#{i}": i for i in range(n_vocab)}, unk_token="#0")
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), bos_token="#1", eos_token="#1"
    )
    made.save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)
