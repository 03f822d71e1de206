"""What `run` says of a prompt's words that a model may not know: they were cut into pieces, or mistyped.

The corpus's words are known only for the models that ship inside; of others it is said which were cut into letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetgpt.commands.terminal import printable
from sheetgpt.weights.embedded import ships

if TYPE_CHECKING:
    from sheetgpt.bpe import Tokenizer
    from sheetgpt.model import Model

FIRST_DOCUMENTS, DOCUMENTS = 20, 4000  # of the corpus: which hold its marks, and all its words
MOST_NAMED = 3


def notice(model: Model, prompt: str | None) -> str | None:
    """One line, or nothing where every word is known."""
    if prompt is None or model.tokenizer is None:
        return None
    if not ships(model.weights.folder):
        return in_letters_notice(model.tokenizer, prompt)
    if prompt.endswith(" ") and prompt[-2:-1].strip():
        return "The prompt ends with a space, but a word's token brings its space along: leave it out."
    found = strangers(model.tokenizer, prompt)
    if not found:
        return None
    return f"This model never read {named(model.tokenizer, found)}: it can only go by pieces of words, and may guess."


def in_letters_notice(tokenizer: Tokenizer, prompt: str) -> str | None:
    """That words were cut into letters: a text that a table of merges was learned from hardly had them."""
    found = [] if tokenizer.has_characters_only else in_letters(tokenizer, prompt)
    if not found:
        return None
    return f"Cut into single characters: {named(tokenizer, found)}. The model may hardly know such words."


def in_letters(tokenizer: Tokenizer, prompt: str) -> list[str]:
    """The words of several letters whose tokens have one each, every word once."""
    from sheetgpt.bpe.words import cut

    words = [word for word in dict.fromkeys(cut(prompt)) if len(word.strip()) > 1 and word.strip().isalpha()]
    return [word for word in words if all(len(piece.strip()) < 2 for piece in pieces_of(tokenizer, word))]


def named(tokenizer: Tokenizer, words: list[str]) -> str:
    """The first few words, and how many more there are."""
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    return ", ".join(described(tokenizer, word) for word in words[:MOST_NAMED]) + more


def strangers(tokenizer: Tokenizer, prompt: str) -> list[str]:
    """The words that the corpus never has, each once.

    subtle: a token of several letters is one because the corpus had it; so most prompts ask for a few documents only.
    """
    from sheetgpt.bpe.words import cut

    words = [word for word in dict.fromkeys(cut(prompt)) if len(tokenizer.encode(word)) > 1 or len(word) == 1]
    for count in (FIRST_DOCUMENTS, DOCUMENTS):
        known = corpus_words(count) if words else set()
        words = [word for word in words if word not in known]
    return words


def corpus_words(count: int) -> set[str]:
    """The words of so many documents; names with and without a space, as each may begin a text."""
    from sheetgpt.bpe.words import cut
    from sheetgpt.corpus import documents

    found = {word for document in documents(count) for word in cut(document)}
    names = {word.strip() for word in found if word.strip()[:1].isupper()}
    return found | names | {f" {name}" for name in names}


def pieces_of(tokenizer: Tokenizer, word: str) -> list[str]:
    return [tokenizer.token(i) for i in tokenizer.encode(word)]


def described(tokenizer: Tokenizer, word: str) -> str:
    """A word, the pieces that it is cut into, and the word that may be meant."""
    from sheetgpt.lens.tokens import same_letters

    pieces = "|".join(pieces_of(tokenizer, word))
    alike = [token for token in same_letters(tokenizer.tokens, word) if len(token.strip()) > 1]
    meant = min(alike, key=lambda token: token.startswith(" ") != word.startswith(" "), default=None)
    hint = f"; there is {printable(repr(meant))}" if meant else ""
    return f'"{printable(word)}" ({printable(pieces)}{hint})'
