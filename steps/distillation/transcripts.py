"""The store of soft labels of kind `transcripts`: what a teacher writes of each utterance.

A folder holds `text`, in phones where the teacher's tokens are phones and in words otherwise, `nbest.jsonl` as from
steps.decode, and `transcripts.json`, which says which of the two.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from steps.heads.transcripts import Labels
from steps.nnet.output import ModelOutput
from steps.tokens.token_table import TokenTable
from utils.data_dir.tables import read_table
from utils.jobs.errors import StaleError
from utils.jobs.files import to_json

Hypotheses = list[tuple[tuple[int, ...], float]]  # tokens and weight of each; the weights sum to 1


@dataclass(frozen=True)
class Transcripts:
    """The target of a batch.

    Attributes:
        labels: The tokens of each utterance; None where the student cannot spell what the teacher wrote.
        learn: The loss of the student's head, as `steps.heads` have it.
    """

    labels: Labels
    learn: Callable[[ModelOutput, Labels], tuple[Tensor, int]]


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

    def hypotheses(self, table: TokenTable, nbest: int = 1) -> dict[str, Hypotheses]:
        """The best hypotheses that a table can spell, weighted by their probabilities: none, or up to `nbest`.

        Raises: StaleError when the transcripts are phones and the tokens are not.
        """
        if self.unit == "phone" and table.unit != "phone":
            told = f"the teacher writes phones, and the student's tokens are of unit {table.unit}"
            raise StaleError(f"{self.folders[0]}: {told}; give them the same tokens.unit")
        plain = TokenTable(table.tokens, "word") if self.unit == "phone" else table
        written = {utt_id: [(text, 0.0)] for utt_id, text in self.texts.items()}
        if nbest > 1:
            written = {u: [(h["text"], h["score"]) for h in found[:nbest]] for u, found in self.read_nbest().items()}
        spelt = {u: [(plain.encode(text), score) for text, score in found] for u, found in written.items()}
        return {u: weighted([(tuple(ids), s) for ids, s in found if None not in ids]) for u, found in spelt.items()}

    def greedy(self) -> dict[str, str]:
        """The teacher's best paths, where it searched for better. Raises: StaleError when they are not there."""
        found = {}
        for folder in self.folders:
            if not (folder / "text_greedy").is_file():
                told = "there is no second decoding to agree with, for the first was greedy"
                raise StaleError(f'{folder}: {told}; set [<teacher>.soft_labels] decode = {{ decoder = "beam" }}')
            found |= read_table(folder / "text_greedy", has_value=False)
        return found

    def read_nbest(self) -> dict[str, list[dict]]:
        """The hypotheses of each utterance, as nbest.jsonl holds them."""
        found = {}
        for folder in self.folders:
            try:
                lines = (folder / "nbest.jsonl").read_text(encoding="utf-8").splitlines()
                found |= {entry["utt_id"]: entry["nbest"] for entry in map(json.loads, lines)}
            except (OSError, ValueError, KeyError, TypeError) as e:
                told = f"{folder}/nbest.jsonl: cannot be read ({e}); run steps.make_soft_labels --force"
                raise StaleError(told) from None
        return found


def weighted(found: Hypotheses) -> Hypotheses:
    """Hypotheses with the softmax of their scores as weights."""
    best = max((score for _, score in found), default=0.0)
    weights = [math.exp(score - best) for _, score in found]
    return [(ids, weight / sum(weights)) for (ids, _), weight in zip(found, weights, strict=True)]


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
