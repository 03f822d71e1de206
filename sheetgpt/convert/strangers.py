"""Which model tensors belong to, by their names, where they are no GPT-2's.

What a file is by its first bytes belongs in `files.foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from sheetgpt.errors import ConvertError
from sheetgpt.files import foreign

ONLY_GPT2 = "sheetgpt computes GPT-2; name a GPT-2"
NOT_EXACT = "only exact numbers can be converted: get the model that is not quantized"
# in a tensor's name -> whose it is
QUANTIZED: tuple[tuple[str, str], ...] = (
    (r"\.(qweight|qzeros|g_idx)$", "is quantized (GPTQ or AWQ)"),
    (r"\.(absmax|quant_map|nested_absmax|SCB)$|\.quant_state\.", "is quantized (bitsandbytes)"),
    (r"\.(weight_packed|weight_scale|weight_scale_inv|input_scale)$", "is quantized (compressed-tensors or FP8)"),
)
ADAPTERS = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|ia3_l)(\.|$)|^prompt_embeddings$")
OTHERS: tuple[tuple[str, str], ...] = (
    (r"layers\.\d+\.self_attn\.(q_proj|qkv_proj)\.", "a model such as Llama, Mistral, Qwen, Gemma or OPT"),
    (r"encoder\.layer\.\d+\.attention\.", "a BERT, RoBERTa or a model like them"),
    (r"transformer\.layer\.\d+\.attention\.q_lin", "a DistilBERT"),
    (r"gpt_neox\.layers\.", "a GPT-NeoX or Pythia"),
    (r"h\.\d+\.attn\.attention\.", "a GPT-Neo"),
    (r"h\.\d+\.attn\.(q_proj|qkv_proj)\.", "a GPT-J, CodeGen or a model like them"),
    (r"h\.\d+\.self_attention\.", "a BLOOM or Falcon"),
    (r"blocks\.\d+\.attn\.Wqkv", "an MPT"),
    (r"(decoder|encoder)\.block\.\d+\.layer\.", "a T5"),
    (r"(model\.)?(decoder|encoder)\.layers\.\d+\.", "a BART, Whisper or a model like them"),
    (r"layers\.\d+\.mixer\.|blocks\.\d+\.att\.time_", "a Mamba or RWKV"),
    (r"vision_model\.|text_model\.", "a CLIP or a model like it"),
    (r"(down|up)_blocks\.|model\.diffusion_model\.", "a model that makes images"),
    (r"layers\.\d+\.attention\.wq\.", "a Llama as Meta stores it"),
    (r"blocks\.\d+\.attn\.W_Q|blocks\.\d+\.attn\.(W_|b_)", "a model of TransformerLens, which splits the heads"),
)


def refuse_strangers(names: Collection[str], source: Path | str) -> None:
    """Raises ConvertError where tensors of these names are no GPT-2's weights, saying whose they are."""
    for pattern, what in QUANTIZED:
        if any_matches(pattern, names):
            raise ConvertError(what, where=source, remedy=NOT_EXACT)
    if any(ADAPTERS.search(name) for name in names):
        raise ConvertError(foreign.ADAPTER.what, where=source, remedy=foreign.ADAPTER.remedy)
    if any(f".{name}".endswith(".wte.weight") for name in names) and any_matches(r"h\.\d+\.attn\.c_attn\.", names):
        return
    for pattern, what in OTHERS:
        if any_matches(pattern, names):
            raise ConvertError(f"holds {what}", where=source, remedy=ONLY_GPT2)


def refuse_pages(file: Path) -> None:
    """Raises ConvertError where something else was saved in place of a file: a page, a pointer."""
    found = foreign.of_start(foreign.beginning(file), file)
    if found:
        raise ConvertError(found.what, where=file, remedy=found.remedy)


def any_matches(pattern: str, names: Iterable[str]) -> bool:
    search = re.compile(pattern).search
    return any(search(name) for name in names)


def refuse_foreign(path: Path, *, unless_convertible: bool = True) -> None:
    """Raises ConvertError where a file or folder is known to be something else than a model to convert."""
    found = foreign.of_path(path)
    if found and not (found.convertible and unless_convertible):
        raise ConvertError(found.what, where=path, remedy=found.remedy)
