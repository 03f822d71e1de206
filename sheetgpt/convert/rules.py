"""Does another project's tokenizer cut texts as GPT-2's does? The first rule that doesn't, by name.

Here: settings in `tokenizer.json`, `tokenizer_config.json` and GGUF. The tables themselves belong in `tokens`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sheetgpt.bpe.words import PATTERN

# the same pattern as others write it
PATTERNS = {
    PATTERN,
    PATTERN.replace("'s|'t|'re|'ve|'m|'ll|'d", "'(?:[sdmt]|ll|ve|re)"),
    PATTERN.replace(r"|\s+(?!\S)|\s+", r"|\s+(?!\S)|\s"),
}
SPLITS = (("Isolated", False), ("Removed", True))  # how a Split of its matches is said
# GGUF's names of pre-tokenizers that are GPT-2's
GGUF_RULES = ("gpt-2", "gpt2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "mpt", "olmo", "jais")
CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", "CodeGenTokenizer")
ADDS_TOKENS = "puts tokens of its own around a text"
MODEL = {  # setting of the table -> what it does, where it is there
    "dropout": "leaves merges out at random",
    "continuing_subword_prefix": "spells what goes on in a word otherwise",
    "end_of_word_suffix": "spells the end of a word otherwise",
    "ignore_merges": "takes whole words from the table without merging",
}


def strange_rule(data: Mapping[str, Any]) -> str | None:
    """What a `tokenizer.json` does to a text that GPT-2's tokenizer doesn't; None where it is the same."""
    return next(strange_rules(data), None)


def strange_rules(data: Mapping[str, Any]) -> Iterator[str]:
    for part in parts(data.get("normalizer"), "normalizers"):
        yield f"the normalizer {part.get('type')} changes a text before it is cut"
    cutters = parts(data.get("pre_tokenizer"), "pretokenizers")
    if any(part.get("add_prefix_space") for part in cutters):
        yield "add_prefix_space puts a space before a text"
    if not is_gpt2s(cutters):
        yield f"the pre_tokenizer {' + '.join(str(part.get('type')) for part in cutters)} cuts a text otherwise"
    for part in parts(data.get("post_processor"), "processors"):
        if part.get("type") != "ByteLevel" and not (part.get("type") == "TemplateProcessing" and is_bare(part)):
            yield f"the post_processor {part.get('type')} {ADDS_TOKENS}"
    model = data.get("model")
    for name, does in MODEL.items():
        if isinstance(model, Mapping) and model.get(name):
            yield f"{name} {does}"


def parts(part: object, name: str) -> list[Mapping[str, Any]]:
    """A part of a tokenizer as a list of such that are no sequences."""
    if not isinstance(part, Mapping):
        return []
    inner = part.get(name)
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [deep for one in inner for deep in parts(one, name)]
    return [part]


def is_gpt2s(cutters: list[Mapping[str, Any]]) -> bool:
    """ByteLevel alone, or GPT-2's pattern written out and ByteLevel without it."""
    *splits, last = cutters or [{}]
    by_pattern = last.get("use_regex", True)
    return last.get("type") == "ByteLevel" and (
        (by_pattern and not splits) or (not by_pattern and len(splits) == 1 and is_gpt2s_split(splits[0]))
    )


def is_gpt2s_split(part: Mapping[str, Any]) -> bool:
    pattern = part.get("pattern")
    return (
        part.get("type") == "Split"
        and isinstance(pattern, Mapping)
        and pattern.get("Regex") in PATTERNS
        and (part.get("behavior"), part.get("invert", False)) in SPLITS
    )


def is_bare(template: Mapping[str, Any]) -> bool:
    """Has a template for one text nothing but the text?"""
    single = template.get("single")
    return isinstance(single, list) and all(isinstance(one, Mapping) and "Sequence" in one for one in single)


def strange_setting(settings: Mapping[str, Any], *, is_alone: bool) -> str | None:
    """The same of a `tokenizer_config.json`. is_alone: no `tokenizer.json` says the rest."""
    if settings.get("add_prefix_space"):
        return "add_prefix_space puts a space before a text"
    for name in ("add_bos_token", "add_eos_token"):
        if settings.get(name):
            return f"{name} {ADDS_TOKENS}"
    kind = settings.get("tokenizer_class")
    if is_alone and kind is not None and kind not in CLASSES:
        return f"tokenizer_class {kind} has rules of its own"
    return None


def strange_gguf(settings: Mapping[str, Any]) -> str | None:
    """The same of the settings in a GGUF file; one that names no pre-tokenizer is of before there were several."""
    rule = settings.get("tokenizer.ggml.pre", GGUF_RULES[0])
    if rule not in GGUF_RULES:
        return f"tokenizer.ggml.pre {rule!r} cuts a text otherwise"
    for name in ("add_bos_token", "add_eos_token"):
        if settings.get(f"tokenizer.ggml.{name}"):
            return f"tokenizer.ggml.{name} {ADDS_TOKENS}"
    return None


def shortened(data: Mapping[str, Any]) -> list[str]:
    """What a `tokenizer.json` does to whole runs of tokens, which is not done here."""
    found = {"truncation": "shortens long texts", "padding": "fills short texts up"}
    return [f"its {name} {does}, which is not done here" for name, does in found.items() if data.get(name)]
