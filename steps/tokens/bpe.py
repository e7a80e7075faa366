"""Byte-pair pieces of words (Sennrich et al. 2016), made and applied by sentencepiece; `▁` begins each word.

Text is not normalised. Piece 0 of a sentencepiece model stands for what it does not know. tokens.txt has the blank
there, so that a piece and its token have the same id.
"""

import io
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from types import ModuleType

from utils.jobs.errors import DataError, UsageError
from utils.jobs.packages import import_for

WORD_START = "▁"
MARKS = (WORD_START, "▅")  # that sentencepiece writes in the place of spaces and of unknown characters
NO_LIMIT = 2**30  # bytes of a transcript; sentencepiece would leave out longer ones


def load_sentencepiece() -> ModuleType:
    """The package. Raises: MachineError when it is not installed."""
    return import_for("tokens.unit = 'bpe'", "sentencepiece", "sentencepiece")


def train_bpe(texts: Iterable[str], vocab_size: int, character_coverage: float) -> "BpeModel":
    """Pieces of the words of some texts; the same texts give the same bytes.

    Args:
        texts: Transcripts with single spaces.
        vocab_size: Pieces, that for unknown characters included.
        character_coverage: Share of the characters of the text that must be pieces, the rarest left out.

    Raises: UsageError when the texts have too few pieces, or too many characters, for `vocab_size`.
    """
    proto = io.BytesIO()
    try:
        load_sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=proto,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=character_coverage,
            normalization_rule_name="identity",
            max_sentence_length=NO_LIMIT,
            num_threads=1,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as e:
        raise _fault_of(str(e), vocab_size) from None
    return BpeModel(proto.getvalue())


def _fault_of(message: str, vocab_size: int) -> UsageError | DataError:
    """What sentencepiece says, with the remedy where it is known."""
    if found := re.search(r"size too high .* <= (\d+)", message):
        limit = f"at most {found[1]} pieces; set it to {found[1]} or less"
        return UsageError(f"tokens.vocab_size = {vocab_size}: the training text is too small, it has {limit}")
    if found := re.search(r"required_chars\. \d+ vs (\d+)", message):
        limit = f"at least {found[1]} pieces; set it to {found[1]} or more"
        return UsageError(f"tokens.vocab_size = {vocab_size}: the characters of the training text need {limit}")
    return DataError(f"sentencepiece makes no pieces of the training text: {' '.join(message.split())}")


class BpeModel:
    """A sentencepiece model, as bytes that a file holds."""

    def __init__(self, proto: bytes):
        """Raises: ValueError when the bytes are no model."""
        self.proto = proto
        if not proto:  # which would be taken for no argument
            raise ValueError("the file is empty")
        try:
            self._processor = load_sentencepiece().SentencePieceProcessor(model_proto=proto)
        except RuntimeError as e:
            raise ValueError(" ".join(str(e).split())) from None

    @classmethod
    def read(cls, path: Path) -> "BpeModel":
        """Reads bpe.model. Raises: DataError when it is missing or damaged."""
        try:
            return cls(path.read_bytes())
        except FileNotFoundError:
            raise DataError(f"{path}: missing; run steps.make_tokens --force") from None
        except ValueError as e:
            raise DataError(f"{path}: cannot be read ({e}); run steps.make_tokens --force") from None

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """All pieces but the unknown one, which would come first."""
        return tuple(self._processor.id_to_piece(i) for i in range(1, self._processor.vocab_size()))

    def encode(self, text: str) -> list[int | None]:
        """The ids of the pieces of a transcript; None where it holds a character that is in no piece."""
        found: list[int | None] = []
        for word in text.split():
            ids = self._processor.encode(word) if WORD_START not in word else [0]  # which would read as a space
            found += [i or None for i in ids]
        return found


def join_pieces(pieces: Iterable[str]) -> str:
    """The text that pieces stand for, with single spaces."""
    return " ".join("".join(pieces).replace(WORD_START, " ").split())
