"""What other programs call our stages, and in which shape they hold them: one table, read by everything that asks.

`fixtures` writes by it, `diff` reads by it, `sheetgpt stages` and docs/stages.md show it. A cell of the table says
`NAMES (NAMES READ AS WELL): AXES`; the axes' letters are `axes`' business, the names of one model `naming`'s.
In names {i} is the block's number, {last} the last block's, {n} the number of blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

from sheetgpt.ops import MASKED


@dataclass(frozen=True)
class Convention:
    """One program's way to name and shape stages."""

    name: str  # as `--names` takes it
    title: str
    masked: float  # what its attention scores hold where a token may not look
    dtype: str  # of fixtures, where none is asked for
    notes: str


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention(
            "reference",
            "the reference workbook and page",
            MASKED,
            "float64",
            "The stages' names and shapes as `sheetgpt run --dump-csv` writes them. The final stages hold the last "
            "token's row only, as the reference does. Steps 6 and 7 hold the heads side by side; with `--head-layout "
            "reference` each in its padded slot.",
        ),
        Convention(
            "transformerlens",
            "TransformerLens 4.3, what `run_with_cache` gives",
            -inf,
            "float64",
            "Names of a `TransformerBridge` after `enable_compatibility_mode(no_processing=True)`; folded layer norms "
            "and centred weights, its default, give other numbers. Up to TransformerLens 2, `HookedTransformer` has "
            "no `ln1.hook_out`, and its `hook_normalized` is behind gain and bias (our steps 3 and 12 and "
            "`predicted_embedding`): a cache without any `ln*.hook_out` is read so.",
        ),
        Convention(
            "huggingface",
            "Hugging Face transformers, `GPT2LMHeadModel`",
            -inf,
            "float64",
            "`hidden_states.{i}`, `attentions.{i}`, `past_key_values` and `logits` are fields of the model's output "
            "(ask for `output_hidden_states=True, output_attentions=True` with eager attention), an element's number "
            "or attribute behind a dot. The other names are modules: what a forward hook sees as their output, or as "
            "its first part. `hidden_states.{n}`, the last one, is behind the final layer norm. No module gives the "
            "queries, the scores, or what the residual adds up to before the MLP. A `GPT2Model`'s names, without "
            "`transformer.` in front, are read as well.",
        ),
        Convention(
            "webgpt",
            "0hq/WebGPT",
            -1e9,
            "float32",
            "`tok_pos_emb`, `block{i}_ln1`, `_attn`, `_r1`, `_ln2`, `_mlp`, `_r2`, `ln_f` and `logits` are the names "
            "of its validation files (`other/validation`), a JSON list of one object a generated token; of several "
            "the first is read. Names that end in `Buffer` or `Result` are its variables for GPU buffers "
            "(`instructions.js`) with `block{i}_` before them, which is ours, and have the buffers' two axes. "
            "`block{i}_gelu` and `block{i}_firstLayer` are ours, after its name of the pass and of the weights. It "
            "computes the last token's logits only. A block's input is `tok_pos_emb` or the block before's `_r2`.",
        ),
        Convention(
            "llm-viz",
            "bbycroft/llm-viz, `gen_test_data.py`",
            -inf,
            "float32",
            "It captures the inside of block 0 only: for later blocks `block{i}.` stands before the same names, which "
            "is ours (the table's `{block.}`: nothing for block 0). In JSON each array is base64 of little-endian "
            "numbers; its reader knows float32 only. A block's input is `x` or the block before's `block{i}`.",
        ),
    )
}


@dataclass(frozen=True)
class Cell:
    """What one convention calls a stage."""

    names: tuple[str, ...]  # all written
    aliases: tuple[str, ...]  # read as well
    axes: str

    @classmethod
    def of(cls, text: str) -> Cell:
        """A cell from its text.

        >>> Cell.of("hook_embed (embed.hook_out): 1 T d")
        Cell(names=('hook_embed',), aliases=('embed.hook_out',), axes='1 T d')
        """
        names, aliases, axes = re.fullmatch(r"([^(:]+?)(?: \(([^)]*)\))?: (.+)", text).groups()
        return cls(tuple(names.split()), tuple((aliases or "").split()), axes)


@dataclass(frozen=True)
class Row:
    """One stage in every convention; an empty text where it has none."""

    stage: str
    axes: str = ""  # as our dumps have it; empty for words and merges, and for what is no stage of ours
    transformerlens: str = ""
    huggingface: str = ""
    webgpt: str = ""
    llm_viz: str = ""
    made: str = ""  # for what is no stage of ours: how it is made of one, and which

    @property
    def in_block(self) -> bool:
        return "{i}" in self.stage

    def cell(self, convention: str) -> Cell | None:
        """What a convention calls it; None where it has no name for it."""
        if convention == "reference":
            return Cell((self.stage,), (), self.axes) if self.axes else None
        text = getattr(self, convention.replace("-", "_"))
        if not text:
            return None
        cell = Cell.of(text)
        if convention == "huggingface":
            bare = (name.removeprefix("transformer.") for name in cell.names + cell.aliases)
            return Cell(cell.names, (*cell.aliases, *(name for name in bare if name not in cell.names)), cell.axes)
        return cell


TL, HF, VIZ = "blocks.{i}.", "transformer.h.{i}.", "{block.}"  # {block.}: nothing for block 0, else `block{i}.`

TABLE = (
    Row("separated_into_words"),
    Row("prompt_to_tokens"),
    Row("final_tokens", "1 T", "embed.hook_in: 1 T", "input_ids: 1 T", "", "idx: 1 T"),
    Row(
        "token_embeddings",
        "T d",
        "hook_embed (embed.hook_out): 1 T d",
        "transformer.wte: 1 T d",
        "embdOutputBuffer: T d",
        "tok_emb: 1 T d",
    ),
    Row(
        "position_rows",
        "",
        "hook_pos_embed (pos_embed.hook_out): 1 T d",
        "transformer.wpe: 1 T d",
        "posEmbdOutputBuffer: T d",
        "pos_emb: 1 T d",
        made="first rows of model_wpe",
    ),
    Row("position_table", "T d"),
    Row(
        "position_embeddings",
        "T d",
        "blocks.0.hook_resid_pre (blocks.0.hook_in): 1 T d",
        "transformer.drop (hidden_states.0): 1 T d",
        "tok_pos_emb: 1 T d",
        "x: 1 T d",
    ),
    Row("triangle_matrix", "T K"),
    Row("block_{i}_step_1", "T d", TL + "hook_resid_pre (" + TL + "hook_in): 1 T d", "hidden_states.{i}: 1 T d"),
    Row("block_{i}_step_1_deviation", "", TL + "ln1.hook_scale: 1 T 1", made="deviation of block_{i}_step_1"),
    Row("block_{i}_step_2", "T d", TL + "ln1.hook_normalized: 1 T d"),
    Row(
        "block_{i}_step_3",
        "T d",
        TL + "ln1.hook_out (" + TL + "attn.hook_in): 1 T d",
        HF + "ln_1: 1 T d",
        "block{i}_ln1: 1 T d",
        VIZ + "ln1: 1 T d",
    ),
    Row("block_{i}_step_4", "T 3d", "", HF + "attn.c_attn: 1 T 3d", "block{i}_qkvMLPResult: T 3d"),
    Row(
        "block_{i}_step_5_queries",
        "T (H s)",
        TL + "attn.hook_q (" + TL + "attn.q.hook_out): 1 T H s",
        "",
        "block{i}_splitQResultBuffer: T (H s)",
        VIZ + "q: 1 H T s",
    ),
    Row(
        "block_{i}_step_5_keys",
        "T (H s)",
        TL + "attn.hook_k (" + TL + "attn.k.hook_out): 1 T H s",
        "past_key_values.layers.{i}.keys: 1 H T s",
        "block{i}_splitKResultBuffer: T (H s)",
        VIZ + "k: 1 H T s",
    ),
    Row(
        "block_{i}_step_5_values",
        "T (H s)",
        TL + "attn.hook_v (" + TL + "attn.v.hook_out): 1 T H s",
        "past_key_values.layers.{i}.values: 1 H T s",
        "block{i}_splitVResultBuffer: T (H s)",
        VIZ + "v: 1 H T s",
    ),
    Row("block_{i}_step_5_queries_rotated", "T (H s)"),
    Row("block_{i}_step_5_keys_rotated", "T (H s)"),
    Row(
        "block_{i}_step_6",
        "T (H K)",
        TL + "attn.hook_attn_scores: 1 H T K",
        "",
        "block{i}_causalMaskResultBuffer: (H T) K",
        VIZ + "att: 1 H T K",
    ),
    Row(
        "block_{i}_step_7",
        "T (H K)",
        TL + "attn.hook_pattern: 1 H T K",
        "attentions.{i}: 1 H T K",
        "block{i}_softmaxOutputBuffer: (H T) K",
        VIZ + "attSm: 1 H T K",
    ),
    Row(
        "block_{i}_step_8",
        "T (H s)",
        TL + "attn.hook_z (" + TL + "attn.o.hook_in): 1 T H s",
        "",
        "block{i}_attentionValuesResultBuffer: T (H s)",
        VIZ + "y: 1 T (H s)",
    ),
    Row(
        "block_{i}_step_9",
        "T d",
        TL + "hook_attn_out (" + TL + "attn.hook_out " + TL + "attn.o.hook_out): 1 T d",
        HF + "attn.c_proj (" + HF + "attn): 1 T d",
        "block{i}_attn: 1 T d",
        VIZ + "yProj: 1 T d",
    ),
    Row(
        "block_{i}_step_10",
        "T d",
        TL + "hook_resid_mid (" + TL + "ln2.hook_in): 1 T d",
        "",
        "block{i}_r1: 1 T d",
        VIZ + "attnResid: 1 T d",
    ),
    Row("block_{i}_step_10_deviation", "", TL + "ln2.hook_scale: 1 T 1", made="deviation of block_{i}_step_10"),
    Row("block_{i}_step_11", "T d", TL + "ln2.hook_normalized: 1 T d"),
    Row(
        "block_{i}_step_12",
        "T d",
        TL + "ln2.hook_out (" + TL + "mlp.hook_in): 1 T d",
        HF + "ln_2: 1 T d",
        "block{i}_ln2: 1 T d",
        VIZ + "ln2: 1 T d",
    ),
    Row(
        "block_{i}_step_13",
        "T 4d",
        TL + "mlp.hook_pre (" + TL + "mlp.in.hook_out): 1 T 4d",
        HF + "mlp.c_fc: 1 T 4d",
        "block{i}_firstLayer: T 4d",
        VIZ + "fc: 1 T 4d",
    ),
    Row(
        "block_{i}_step_14",
        "T 4d",
        TL + "mlp.hook_post (" + TL + "mlp.out.hook_in): 1 T 4d",
        HF + "mlp.act: 1 T 4d",
        "block{i}_gelu: T 4d",
        VIZ + "gelu: 1 T 4d",
    ),
    Row(
        "block_{i}_step_15",
        "T d",
        TL + "hook_mlp_out (" + TL + "mlp.hook_out " + TL + "mlp.out.hook_out): 1 T d",
        HF + "mlp.c_proj (" + HF + "mlp): 1 T d",
        "block{i}_mlp: 1 T d",
        VIZ + "mlp: 1 T d",
    ),
    Row(
        "block_{i}_step_16",
        "T d",
        TL + "hook_resid_post (" + TL + "hook_out): 1 T d",
        "transformer.h.{i}: 1 T d",
        "block{i}_r2: 1 T d",
        VIZ + "mlpResid block{i}: 1 T d",
    ),
    Row(
        "last_hidden_state",
        "last d",
        "blocks.{last}.hook_resid_post (ln_final.hook_in): 1 T d",
        "transformer.h.{last}: 1 T d",
        "block{last}_r2: 1 T d",
        "block{last}: 1 T d",
    ),
    Row("last_hidden_state_deviation", "", "ln_final.hook_scale: 1 T 1", made="deviation of last_hidden_state"),
    Row("last_layernorm", "last d", "ln_final.hook_normalized: 1 T d"),
    Row(
        "predicted_embedding",
        "last d",
        "ln_final.hook_out (unembed.hook_in): 1 T d",
        "hidden_states.{n} transformer.ln_f: 1 T d",
        "ln_f: 1 T d",
        "ln_f: 1 T d",
    ),
    Row(
        "logits",
        "V last",
        "hook_unembed (unembed.hook_out logits): 1 T V",
        "logits (lm_head): 1 T V",
        "logits: 1 last V",
        "lm_head: 1 T V",
    ),
    Row("probabilities", "", llm_viz="probs: 1 T V", made="softmax of logits"),
    Row("predicted_token", "2 1"),
)

# TransformerLens up to 2: what its HookedTransformer calls differently (see the notes)
HOOKED_TRANSFORMER = {
    "block_{i}_step_2": None,
    "block_{i}_step_3": Cell((TL + "ln1.hook_normalized",), (), "1 T d"),
    "block_{i}_step_11": None,
    "block_{i}_step_12": Cell((TL + "ln2.hook_normalized",), (), "1 T d"),
    "last_layernorm": None,
    "predicted_embedding": Cell(("ln_final.hook_normalized",), (), "1 T d"),
}
