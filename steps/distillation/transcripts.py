"""The store of soft labels of kind `transcripts`: what a teacher writes of each utterance.

A folder holds `text`, in phones where the teacher's tokens are phones and in words otherwise, `nbest.jsonl` as from
steps.decode, and `transcripts.json`, which says which of the two.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from steps.heads.transcripts import Labels
from steps.tokens.token_table import TokenTable
from utils.data_dir.tables import read_table
from utils.jobs.errors import StaleError, UsageError
from utils.jobs.files import to_json


@dataclass(frozen=True)
class Transcripts:
    """The target of a batch.

    Attributes:
        labels: The tokens of each utterance; None where the student cannot spell what the teacher wrote.
        lengths: (B,) frames of the student.
        blank_id: The student's blank.
    """

    labels: Labels
    lengths: Tensor
    blank_id: int


class TranscriptStore:
    """Reads the transcripts of one or several folders, whose ids differ.

    Raises: StaleError when a file is missing or malformed.
    """

    def __init__(self, *folders: Path):
        self.folders = folders
        self.unit = read_unit(folders[0])
        self.texts = {u: text for folder in folders for u, text in read_table(folder / "text", has_value=False).items()}
        for folder in folders:
            if read_unit(folder) != self.unit:
                raise StaleError(f"{folder}: of other units than {folders[0]}; run steps.make_soft_labels on both")

    def __contains__(self, utt_id: str) -> bool:
        return utt_id in self.texts

    def labels(self, table: TokenTable) -> dict[str, tuple[int, ...] | None]:
        """The tokens of each utterance; None for one that holds a token that the table lacks.

        Raises: UsageError when the transcripts are phones and the tokens are not.
        """
        if self.unit == "phone" and table.unit != "phone":
            told = f"the teacher writes phones, and the student's tokens are of unit {table.unit}"
            raise UsageError(f"{self.folders[0]}: {told}; give them the same tokens.unit")
        plain = TokenTable(table.tokens, "word") if self.unit == "phone" else table
        found = {utt_id: plain.encode(text) for utt_id, text in self.texts.items()}
        return {utt_id: None if None in ids else tuple(ids) for utt_id, ids in found.items()}


def read_unit(folder: Path) -> str:
    """The unit of a folder's transcripts. Raises: StaleError when it does not say."""
    try:
        return json.loads((folder / "transcripts.json").read_text(encoding="utf-8"))["unit"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise StaleError(f"{folder}: no transcripts that can be read ({e}); run steps.make_soft_labels") from None


def write_unit(folder: Path, unit: str) -> None:
    """Says what a folder's transcripts are in."""
    kind = "phone" if unit == "phone" else "word"
    (folder / "transcripts.json").write_text(to_json({"kind": "transcripts", "unit": kind}), encoding="utf-8")
