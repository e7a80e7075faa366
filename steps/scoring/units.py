"""Text as the units that errors are counted in."""

import unicodedata

NORMALISATION = {"word": "NFC, single spaces", "char": "NFC, spaces not counted", "phone": "single spaces"}


def split_units(text: str, unit: str) -> list[str]:
    """Units of a transcript: words, characters without spaces, or phones (which are written as words)."""
    words = unicodedata.normalize("NFC", text).split()
    return list("".join(words)) if unit == "char" else words
