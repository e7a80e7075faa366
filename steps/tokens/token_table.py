"""tokens.txt (`<token> <id>`), and text as token ids.

Characters are joined into words at `<space>`; words stand for themselves.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from utils.data_dir.tables import read_lines
from utils.jobs.errors import DataError
from utils.jobs.files import sha256_text

BLANK = "<blk>"
SPACE = "<space>"
RESERVED = (BLANK, SPACE, "<unk>", "<s>", "</s>", "<pad>")


def split_text(text: str, unit: str) -> list[str]:
    """A transcript as a list of tokens. `unit` is char or word."""
    words = text.split()
    return words if unit == "word" else [SPACE if c == " " else c for c in " ".join(words)]


@dataclass(frozen=True)
class TokenTable:
    """Tokens in the order of their ids, and the unit they are of."""

    tokens: tuple[str, ...]
    unit: str

    @classmethod
    def read(cls, path: Path, unit: str) -> "TokenTable":
        """Reads tokens.txt. Raises: DataError when ids are not 0, 1, … or the blank is not 0."""
        tokens = []
        for number, line in enumerate(read_lines(path)):
            token, _, token_id = line.rpartition(" ")
            if not token or token_id != str(number):
                raise DataError(
                    f"{path}:{number + 1}: '{line}' is not '<token> {number}'; run steps.make_tokens --force"
                )
            tokens.append(token)
        if not tokens or tokens[0] != BLANK or len(set(tokens)) != len(tokens):
            raise DataError(f"{path}: {BLANK} must be 0, and no token come twice; run steps.make_tokens --force")
        return cls(tuple(tokens), unit)

    def to_text(self) -> str:
        """The content of tokens.txt."""
        return "".join(f"{token} {i}\n" for i, token in enumerate(self.tokens))

    @property
    def sha256(self) -> str:
        """Identifies the table: two models understand each other's ids if and only if theirs are equal."""
        return sha256_text(self.to_text())

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    def encode(self, text: str) -> list[int | None]:
        """Token ids of a transcript; None where a token is not in the table."""
        return [self._ids.get(token) for token in split_text(text, self.unit)]

    def decode(self, ids: list[int]) -> str:
        """The transcript that token ids stand for."""
        tokens = [self.tokens[i] for i in ids]
        if self.unit == "word":
            return " ".join(tokens)
        return " ".join("".join(" " if token == SPACE else token for token in tokens).split())
