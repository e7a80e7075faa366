"""Bridges between a teacher and a student whose frames or tokens differ.

A bridge is sound where what crosses it means the same on the other side. Frames of other length are mapped by time.
Tokens are mapped where each of the teacher's is one of the student's, or a finer kind of one (`AA1` of `AA`): then
posteriors add up. No posterior of a letter says anything of a word piece: there the bridge is what the teacher writes.
"""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from steps.distillation.targets import HiddenStates, Posteriors
from steps.tokens.token_table import TokenTable
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError

INSTEAD = 'learn from its transcripts (loss = "pseudo_labels")'  # where no bridge is sound
LEAST = -30.0  # nats, of a token that gets no mass


@dataclass(frozen=True)
class FrameMap:
    """Teacher's frames -> student's frames, by time.

    Attributes:
        teacher_ms: Between two frames of the teacher.
        student_ms: Between two of the student.
        has_blank: Whether the posteriors are CTC's: spikes, which must not be averaged away.
    """

    teacher_ms: float
    student_ms: float
    has_blank: bool = True

    def grouped(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, U, D) of the teacher -> ((B, U', G, D) frames that begin within each of the student's, (B, U', G) bool).

        Where none begins, it is the one that lasts then, or the last. The second says which of them are there.
        """
        ratio = self.student_ms / self.teacher_ms
        u = torch.arange(self.most(x.size(1)), device=x.device, dtype=torch.float64)
        first = torch.ceil(u * ratio - 1e-9).long()
        behind = torch.ceil((u + 1) * ratio - 1e-9).long()
        is_within = behind == first
        first, behind = torch.where(is_within, first - 1, first), torch.where(is_within, first, behind)
        places = first[:, None] + torch.arange(math.ceil(ratio), device=x.device)
        heard = (places < behind[:, None]) & (places < lengths[:, None, None])  # (B, U', G)
        heard[..., 0] |= ~heard.any(-1)
        places = torch.minimum(places, (lengths - 1).clamp(min=0)[:, None, None])
        return x[torch.arange(len(x), device=x.device)[:, None, None], places], heard

    def posteriors(self, target: Posteriors) -> Posteriors:
        """A target in the student's frames.

        Of several frames with a blank, each token gets its greatest probability, blank its least, and all are scaled to
        sum to 1: spikes survive. States of an HMM are averaged.
        """
        grouped, heard = self.grouped(target.dense(), target.lengths)  # (B, U', G, V)
        if not self.has_blank:
            count = heard.sum(2, keepdim=True)
            mapped = grouped.masked_fill(~heard[..., None], -torch.inf).logsumexp(2) - count.log()
        else:
            mapped = grouped.masked_fill(~heard[..., None], -torch.inf).amax(2)
            mapped[..., target.blank_id] = grouped[..., target.blank_id].masked_fill(~heard, torch.inf).amin(2)
            mapped = mapped.log_softmax(-1)
        lengths = self.lengths(target.lengths)
        return replace(target, log_probs=mapped, ids=None, log_rest=None, lengths=lengths)

    def states(self, target: HiddenStates) -> HiddenStates:
        """States in the student's frames: the mean of several, and the codes of the first."""
        grouped, heard = self.grouped(target.states, target.lengths)
        weights = heard / heard.sum(-1, keepdim=True)  # (B, U', G)
        states = (grouped * weights[..., None]).sum(2)
        codes = None if target.codes is None else self.grouped(target.codes, target.lengths)[0][:, :, 0]
        return HiddenStates(states, self.lengths(target.lengths), codes)

    def lengths(self, lengths: Tensor) -> Tensor:
        """(B,) frames of the teacher -> frames of the student."""
        return torch.ceil(lengths * (self.teacher_ms / self.student_ms) - 1e-9).long()

    def most(self, num_teacher: int) -> int:
        """The same of the longest."""
        return int(self.lengths(torch.tensor(num_teacher)))


@dataclass(frozen=True)
class TokenMap:
    """Teacher's tokens -> student's tokens, several to one.

    Attributes:
        index: (V_t,) the student's token of each of the teacher's.
        num_tokens: V_s.
        blank_id: The student's.
    """

    index: Tensor
    num_tokens: int
    blank_id: int

    def posteriors(self, target: Posteriors) -> Posteriors:
        """A target in the student's tokens; the posteriors of those that fall together are added."""
        p = target.dense().exp()  # (B, U, V_t)
        summed = p.new_zeros(*p.shape[:2], self.num_tokens).index_add_(-1, self.index.to(p.device), p)
        log_probs = summed.log().clamp(min=LEAST)
        return replace(
            target, log_probs=log_probs, ids=None, log_rest=None, num_tokens=self.num_tokens, blank_id=self.blank_id
        )


def plainer(token: str, unit: str) -> list[str]:
    """A token, and what it may be a finer kind of: in another case, or a phone without its place and stress."""
    if unit != "phone":
        return list(dict.fromkeys([token, token.lower(), token.upper()]))
    without_place = re.sub(r"_[BIES]$", "", token)
    without_stress = re.sub(r"(?<=\D)\d$", "", without_place)
    found = [token, without_place, without_stress]
    return list(dict.fromkeys([*found, *(text.lower() for text in found), *(text.upper() for text in found)]))


def map_tokens(
    where: Path, teacher: TokenTable, teacher_blank: int, student: TokenTable, student_blank: int, file: str = ""
) -> TokenMap:
    """The map from a teacher's tokens to a student's: by `file` (`<token> <token>` a line), or by their names.

    Raises: StaleError where no sound bridge exists.
    """
    ids = {token: i for i, token in enumerate(student.tokens)}
    written = read_table(Path(file)) if file else {}
    is_other_bpe = teacher.unit == "bpe" and set(teacher.tokens) != set(student.tokens)  # spelt otherwise
    if not file and (teacher.unit != student.unit or is_other_bpe):
        theirs, ours = f"unit {teacher.unit}", "another bpe" if is_other_bpe else f"unit {student.unit}"
        told = f"the teacher's tokens are of {theirs}, the student's of {ours}"
        raise StaleError(f"{where}: {told}: no bridge frame by frame; {INSTEAD}")
    index, lost = [], []
    for i, token in enumerate(teacher.tokens):
        if i == teacher_blank:
            index.append(student_blank)
            continue
        names = [written[token]] if token in written else [] if file else plainer(token, teacher.unit)
        found = next((ids[name] for name in names if name in ids and ids[name] != student_blank), None)
        if found is None:
            lost.append(token)
        index.append(found or 0)
    if lost:
        told = f"{len(lost)} of the teacher's {len(index)} tokens have no place among the student's ('{lost[0]}')"
        told += f" in {file}" if file else ""
        raise StaleError(f"{where}: {told}: no bridge frame by frame; {INSTEAD}")
    never = [token for i, token in enumerate(student.tokens) if i not in index and i != student_blank]
    if never:
        log.warn(f"{where}: the teacher never says {len(never)} of the student's tokens ('{never[0]}')")
    if unknown := [token for token in written if token not in teacher.tokens]:
        raise DataError(f"{file}: '{unknown[0]}' is none of the teacher's tokens")
    return TokenMap(torch.tensor(index), len(student.tokens), student_blank)
