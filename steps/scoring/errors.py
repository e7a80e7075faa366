"""Errors of recognised text: insertions, deletions and substitutions of a Levenshtein alignment."""

from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class Errors:
    """Counts of one utterance or of many; they add up."""

    ref_units: int = 0
    ins: int = 0
    dels: int = 0
    sub: int = 0
    utterances: int = 0
    wrong_utterances: int = 0

    @property
    def errors(self) -> int:
        """All errors."""
        return self.ins + self.dels + self.sub

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(*(a + b for a, b in zip(self.counts(), other.counts(), strict=True)))

    def counts(self) -> tuple[int, ...]:
        """The counts in the order of the fields."""
        return (self.ref_units, self.ins, self.dels, self.sub, self.utterances, self.wrong_utterances)

    @property
    def error_rate(self) -> float:
        """Percent of the reference units. Raises: ZeroDivisionError when there are none."""
        return 100.0 * self.errors / self.ref_units


def count_errors(ref: list[str], hyp: list[str]) -> Errors:
    """The errors of one utterance, both sides as lists of units."""
    tags = [op.tag for op in Levenshtein.editops(ref, hyp)]
    counts = [tags.count(tag) for tag in ("insert", "delete", "replace")]
    return Errors(len(ref), *counts, 1, int(bool(tags)))


def align(ref: list[str], hyp: list[str]) -> list[tuple[str | None, str | None]]:
    """Pairs of units; None stands where the other side has an insertion or deletion."""
    pairs: list[tuple[str | None, str | None]] = []
    for block in Levenshtein.opcodes(ref, hyp):
        left, right = ref[block.src_start : block.src_end], hyp[block.dest_start : block.dest_end]
        width = max(len(left), len(right))
        pairs += zip([*left, *[None] * (width - len(left))], [*right, *[None] * (width - len(right))], strict=True)
    return pairs
