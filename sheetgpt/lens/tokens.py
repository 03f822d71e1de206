"""A token as a person types it -> its id, and tokens that may be meant. How texts become tokens belongs in `bpe`."""

from __future__ import annotations

from collections.abc import Sequence

from sheetgpt.bpe import Tokenizer
from sheetgpt.bpe.words import spell
from sheetgpt.errors import LensError, TokenizerError
from sheetgpt.lens.tables import quoted
from sheetgpt.run.trace import Trace

Wanted = str | int  # a token or its id
MOST_ALIKE = 3


def token_id(trace: Trace, wanted: Wanted) -> int:
    """The id of a token, spelled as in the token table or as text, `#id`, or the id. Raises LensError."""
    if isinstance(wanted, str) and (found := known_id(trace, wanted)) is not None:
        return found
    count = trace.config.n_vocab
    if isinstance(wanted, int) and 0 <= wanted < count:
        return wanted
    if isinstance(wanted, int):
        raise LensError(f"there is no token id {wanted}", remedy=f"ids are 0 to {count - 1}")
    nearest = ", ".join(map(quoted, nearest_tokens(trace, wanted)))
    raise LensError(f"{quoted(wanted)} is no token of this model", remedy=f"did you mean {nearest}?")


def known_id(trace: Trace, text: str) -> int | None:
    """The id of a text that is one token; None where it is none, or several."""
    return id_in(trace.labels.vocabulary(), trace.tokenizer, text)


def nearest_tokens(trace: Trace, text: str) -> list[str]:
    """Tokens that are spelled like it; else those that it begins with; else any."""
    vocabulary = trace.labels.vocabulary()
    begun = [token for token in vocabulary if token.strip() and text.strip().startswith(token.strip())]
    return (alike(vocabulary, text) or sorted(begun, key=len, reverse=True) or [*vocabulary])[:MOST_ALIKE]


def spelled(trace: Trace, token: int) -> str:
    """A token as the token table spells it."""
    return trace.labels.vocabulary()[token]


# ------------------------------------------------------------------------------------------------ in any vocabulary


def id_in(vocabulary: Sequence[str], tokenizer: Tokenizer | None, text: str) -> int | None:
    """The id of a text that is one token, as the table spells it or as people do, or `#id`; of equals, the smallest."""
    for spelling in dict.fromkeys((text, in_letters(text))):
        if spelling in vocabulary:
            return vocabulary.index(spelling)
    if text.startswith("#") and text[1:].isdecimal() and int(text[1:]) < len(vocabulary):
        return int(text[1:])
    if tokenizer is None or not text:
        return None
    try:
        ids = tokenizer.encode(text)
    except TokenizerError:
        return None
    return ids[0] if len(ids) == 1 and ids[0] < len(vocabulary) else None


def in_letters(text: str) -> str:
    """As the token table writes it; a text that is no Unicode stays."""
    try:
        return spell(text)
    except UnicodeEncodeError:
        return text


def same_letters(vocabulary: Sequence[str], text: str) -> list[str]:
    """Tokens that differ in capitals or in spaces around them only, those in the same capitals first."""
    bare = in_letters(text.strip())
    found = [token for token in vocabulary if bare and token.strip().casefold() == bare.casefold()]
    return sorted(dict.fromkeys(found), key=lambda token: token.strip() != bare)


def alike(vocabulary: Sequence[str], text: str) -> list[str]:
    """The same letters, else tokens with few other ones; the nearest first."""
    from difflib import get_close_matches

    if same := same_letters(vocabulary, text):
        return same[:MOST_ALIKE]
    bare: dict[str, str] = {}
    for token in vocabulary:
        bare.setdefault(token.strip().casefold(), token)
    near = get_close_matches(in_letters(text.strip()).casefold(), bare, n=MOST_ALIKE, cutoff=0.6)
    return [bare[key] for key in near if key]
