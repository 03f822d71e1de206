"""What other programs call our weights: one table. In names {i} is the block's number."""

from __future__ import annotations

from sheetgpt.models.config import Config
from sheetgpt.models.kinds import matrix_shapes

HUGGINGFACE, GGUF, OPENAI = range(3)  # the table's columns; nanoGPT's and minGPT's names are Hugging Face's

NAMES = {
    "model_wte": ("wte.weight", "token_embd.weight", "model/wte"),
    "model_wpe": ("wpe.weight", "position_embd.weight", "model/wpe"),
    "model_h{i}_ln_1_g": ("h.{i}.ln_1.weight", "blk.{i}.attn_norm.weight", "model/h{i}/ln_1/g"),
    "model_h{i}_ln_1_b": ("h.{i}.ln_1.bias", "blk.{i}.attn_norm.bias", "model/h{i}/ln_1/b"),
    "model_h{i}_attn_c_attn_w": ("h.{i}.attn.c_attn.weight", "blk.{i}.attn_qkv.weight", "model/h{i}/attn/c_attn/w"),
    "model_h{i}_attn_c_attn_b": ("h.{i}.attn.c_attn.bias", "blk.{i}.attn_qkv.bias", "model/h{i}/attn/c_attn/b"),
    "model_h{i}_attn_c_proj_w": ("h.{i}.attn.c_proj.weight", "blk.{i}.attn_output.weight", "model/h{i}/attn/c_proj/w"),
    "model_h{i}_attn_c_proj_b": ("h.{i}.attn.c_proj.bias", "blk.{i}.attn_output.bias", "model/h{i}/attn/c_proj/b"),
    "model_h{i}_ln_2_g": ("h.{i}.ln_2.weight", "blk.{i}.ffn_norm.weight", "model/h{i}/ln_2/g"),
    "model_h{i}_ln_2_b": ("h.{i}.ln_2.bias", "blk.{i}.ffn_norm.bias", "model/h{i}/ln_2/b"),
    "model_h{i}_mlp_c_fc_w": ("h.{i}.mlp.c_fc.weight", "blk.{i}.ffn_up.weight", "model/h{i}/mlp/c_fc/w"),
    "model_h{i}_mlp_c_fc_b": ("h.{i}.mlp.c_fc.bias", "blk.{i}.ffn_up.bias", "model/h{i}/mlp/c_fc/b"),
    "model_h{i}_mlp_c_proj_w": ("h.{i}.mlp.c_proj.weight", "blk.{i}.ffn_down.weight", "model/h{i}/mlp/c_proj/w"),
    "model_h{i}_mlp_c_proj_b": ("h.{i}.mlp.c_proj.bias", "blk.{i}.ffn_down.bias", "model/h{i}/mlp/c_proj/b"),
    "model_ln_f_g": ("ln_f.weight", "output_norm.weight", "model/ln_f/g"),
    "model_ln_f_b": ("ln_f.bias", "output_norm.bias", "model/ln_f/b"),
    "model_lm_head": ("lm_head.weight", "output.weight", "model/lm_head"),
}


def their_names(column: int, n_layer: int) -> dict[str, str]:
    """Our name -> theirs, for every weight of a GPT-2 with so many blocks.

    >>> names = their_names(HUGGINGFACE, 2)
    >>> names["model_h1_attn_c_attn_w"], names["model_ln_f_b"]
    ('h.1.attn.c_attn.weight', 'ln_f.bias')
    """
    return {
        ours.format(i=block): theirs[column].format(i=block)
        for ours, theirs in NAMES.items()
        for block in range(n_layer)
    }


def our_names(config: Config) -> dict[str, str]:
    """The same for a source that calls them as we do."""
    return {name: name for name in matrix_shapes(config, untied=True)}
