"""tokens.txt (`<token> <id>`), and text as token ids.

Characters are joined into words at `<space>`; words stand for themselves; phones are those of a lexicon; the pieces of
bpe are those of a sentencepiece model, and are joined into words at `▁`.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from steps.tokens.bpe import BpeModel, join_pieces
from steps.tokens.lexicon import Lexicon, read_lexicon, spell, to_phones
from utils.data_dir.tables import read_lines
from utils.jobs.errors import DataError, StaleError
from utils.jobs.files import sha256_text

BLANK = "<blk>"
SPACE = "<space>"
RESERVED = (BLANK, SPACE, "<unk>", "<s>", "</s>", "<pad>")


def split_text(text: str, unit: str, lexicon: Lexicon | None = None) -> list[str | None]:
    """A transcript as a list of tokens. `unit` is char, word or phone; None stands for a word without phones."""
    if unit == "phone":
        return to_phones(text, lexicon or Lexicon())
    words = text.split()
    return words if unit == "word" else [SPACE if c == " " else c for c in " ".join(words)]


@dataclass(frozen=True)
class TokenTable:
    """Tokens in the order of their ids, and the unit they are of.

    Attributes:
        tokens: The blank, and the others.
        unit: char, word, phone or bpe.
        lexicon: Turns text into phones; needed to encode and to spell.
        bpe: Turns text into pieces; needed to encode.
    """

    tokens: tuple[str, ...]
    unit: str
    lexicon: Lexicon | None = field(default=None, compare=False)
    bpe: BpeModel | None = field(default=None, compare=False)

    @classmethod
    def read(cls, path: Path, unit: str, lexicon: Lexicon | None = None) -> "TokenTable":
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
        return cls(tuple(tokens), unit, lexicon)

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

    @cached_property
    def _letters(self) -> set[str]:
        return {letter for token in self.tokens if token not in RESERVED for letter in token}

    def encode(self, text: str) -> list[int | None]:
        """Token ids of a transcript; None where a token is not in the table."""
        if self.unit == "bpe":
            return self.bpe.encode(text)
        return [self._ids.get(token) for token in split_text(text, self.unit, self.lexicon)]

    def spell(self, text: str) -> str:
        """A transcript as it is scored: phones, or the words as they are."""
        return spell(text, self.lexicon or Lexicon()) if self.unit == "phone" else text

    def respell(self, text: str) -> str:
        """Text of foreign spelling in the letters of the table: in its case, without marks that it lacks.

        Letters and figures that it lacks stay, so that they are seen as errors.
        """
        found = []
        for letter in text.replace("\u2019", "'"):
            cases = [case for case in (letter, letter.lower(), letter.upper()) if case in self._letters]
            found.append(cases[0] if cases else letter if letter.isalnum() else "" if letter == "'" else " ")
        return " ".join("".join(found).split())

    def decode(self, ids: list[int]) -> str:
        """The transcript that token ids stand for."""
        tokens = [self.tokens[i] for i in ids]
        if self.unit == "bpe":
            return join_pieces(tokens)
        if self.unit != "char":
            return " ".join(tokens)
        return " ".join("".join(" " if token == SPACE else token for token in tokens).split())


def lang_of(lang_dir: Path, name: str) -> Path:
    """The folder of the tokens called `name`, beside that of [tokens], which is meant where there is no name."""
    return lang_dir.with_name(f"{lang_dir.name}_{name}") if name else lang_dir


def read_speller(lang_dir: Path, tokens: TokenTable) -> TokenTable:
    """The table of a lang folder, which spells text in the tokens of a model. Raises: StaleError when they differ."""
    table = read_lang(lang_dir, tokens.unit)
    if table.sha256 != tokens.sha256:
        raise StaleError(f"{lang_dir}/tokens.txt: not the tokens that the model was trained with")
    return table


def read_lang(lang_dir: Path, unit: str) -> TokenTable:
    """The tokens of a lang directory, with what turns text into them. Raises: DataError when its files do not agree."""
    lexicon = read_lexicon(lang_dir / "lexicon.txt") if unit == "phone" else None
    table = TokenTable.read(lang_dir / "tokens.txt", unit, lexicon)
    if unit != "bpe":
        return table
    bpe = BpeModel.read(lang_dir / "bpe.model")
    if bpe.pieces != table.tokens[1:]:
        raise DataError(f"{lang_dir}: tokens.txt does not hold the pieces of bpe.model; run steps.make_tokens --force")
    return replace(table, bpe=bpe)
