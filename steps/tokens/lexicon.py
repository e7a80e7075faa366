"""Pronunciations: `<word> <phone> <phone> …` a line; a word with variants has several lines, the usual one first."""

import unicodedata
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from utils.data_dir.tables import read_lines
from utils.jobs.errors import DataError


class Lexicon(dict[str, list[tuple[str, ...]]]):
    """word -> variants"""

    @cached_property
    def phones(self) -> set[str]:
        """Those of all words."""
        return {phone for variants in self.values() for variant in variants for phone in variant}


def read_lexicon(path: Path) -> Lexicon:
    """Reads a lexicon. Raises: DataError when it is missing, or a word has no phone or the same variant twice."""
    if not path.is_file():
        raise DataError(f"{path}: missing; the recipe's local/prepare_data.py writes it")
    found = Lexicon()
    for number, line in enumerate(read_lines(path), start=1):
        word, *phones = unicodedata.normalize("NFC", line).split() or [""]  # as transcripts are
        if not phones:
            raise DataError(f"{path}:{number}: word '{word}' has no phone; write '<word> <phone> <phone> ...'")
        if tuple(phones) in found.get(word, []):
            raise DataError(f"{path}:{number}: word '{word}' has this pronunciation twice; remove the line")
        found.setdefault(word, []).append(tuple(phones))
    return found


def to_text(lexicon: Lexicon) -> str:
    """The content of a lexicon file, the words in C order."""
    words = sorted(lexicon, key=str.encode)
    return "".join(f"{word} {' '.join(phones)}\n" for word in words for phones in lexicon[word])


def spell(text: str, lexicon: Lexicon) -> str:
    """A transcript in phones, for scoring.

    A word without pronunciation stands for itself, in brackets if there is a phone of this name, and is never right.
    """
    found = []
    for word in text.split():
        unknown = f"({word})" if word in lexicon.phones else word
        found += lexicon.get(word, [(unknown,)])[0]
    return " ".join(found)


def without_pronunciation(texts: Iterable[str], lexicon: Lexicon) -> list[str]:
    """The words of transcripts that a lexicon lacks, sorted."""
    return sorted({word for text in texts for word in text.split()} - lexicon.keys())


def to_phones(text: str, lexicon: Lexicon) -> list[str | None]:
    """The phones of a transcript, each word in its usual pronunciation; None for a word that has none."""
    return [phone for word in text.split() for phone in lexicon.get(word, [(None,)])[0]]
