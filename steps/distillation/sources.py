"""Where the targets of a distillation term come from: a store, a model that listens beside the student, or several."""

import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from steps.decoding.greedy import spikes
from steps.distillation.bridges import FrameMap, TokenMap
from steps.distillation.hidden_codes import CodeStore
from steps.distillation.posteriors import PosteriorStore
from steps.distillation.targets import HiddenStates, Lattice, Posteriors, from_logits
from steps.distillation.transcripts import Hypotheses, Transcripts
from steps.heads.transcripts import Labels, transcribed
from steps.nnet.model import Recogniser, in_use
from steps.nnet.output import ModelOutput

Target = Posteriors | Lattice | HiddenStates | Transcripts


@dataclass(frozen=True)
class Heard:
    """What a batch is made of.

    Attributes:
        utt_ids: (B,)
        labels: (B,) the tokens of those whose transcript is used.
        feats: (B, T, F)
        feat_lens: (B,) frames.
        update: How many the training has done.
    """

    utt_ids: list[str]
    labels: Labels
    feats: Tensor
    feat_lens: Tensor
    update: int = 0

    def select(self, rows: list[int]) -> "Heard":
        """Some utterances of it, without the padding that only the others need."""
        lens = self.feat_lens[rows]
        utt_ids, labels = [self.utt_ids[i] for i in rows], [self.labels[i] for i in rows]
        return replace(self, utt_ids=utt_ids, labels=labels, feats=self.feats[rows, : int(lens.max())], feat_lens=lens)


Source = Callable[[Heard, ModelOutput], Target]


@dataclass(frozen=True)
class Bridge:
    """What stands between teacher and student; nothing where both are alike."""

    frames: FrameMap | None = None
    tokens: TokenMap | None = None

    def __call__(self, target: Target) -> Target:
        if self.tokens:
            target = self.tokens.posteriors(target)
        if self.frames and isinstance(target, HiddenStates):
            return self.frames.states(target)
        return self.frames.posteriors(target) if self.frames else target


NO_BRIDGE = Bridge()


def fitted(target: Target, output: ModelOutput) -> Target:
    """A target on the frames that it shares with the student's output."""
    lengths, max_len = output.lengths, output.encoder_out.size(1)
    if isinstance(target, Posteriors):
        return target.fitted(lengths, max_len)
    change = max_len - target.states.size(1)
    shared = torch.minimum(target.lengths, lengths)
    states = torch.nn.functional.pad(target.states, (0, 0, 0, change))
    codes = target.codes if target.codes is None else torch.nn.functional.pad(target.codes, (0, 0, 0, change))
    return HiddenStates(states, shared, codes)


@dataclass(frozen=True)
class StoredFrames:
    """Stored posteriors or states, frame by frame."""

    store: PosteriorStore | CodeStore
    head: str
    bridge: Bridge = NO_BRIDGE

    def __call__(self, heard: Heard, output: ModelOutput) -> Target:
        """The teacher's word on a batch."""
        target = self.store.batch(heard.utt_ids, heard.feats.device)
        target = replace(target, head=self.head) if isinstance(target, Posteriors) else target
        return fitted(self.bridge(target), output)


@dataclass(frozen=True)
class StoredTokens:
    """Stored posteriors of each token of a transcript, or of each place of its lattice."""

    store: PosteriorStore
    head: str

    def __call__(self, heard: Heard, output: ModelOutput) -> Target:
        """The teacher's word on a batch."""
        target = replace(self.store.batch(heard.utt_ids, heard.feats.device), head=self.head)
        if self.store.layout.kind == "token_topk":
            return target
        sizes = [len(tokens) for tokens in heard.labels]
        return lattice_of(target, sizes, output)


def lattice_of(target: Posteriors, sizes: list[int], output: ModelOutput) -> Lattice:
    """A batch of stored places, frame after frame, as a lattice on the frames shared with the student's output."""
    U, L = int(output.lengths.max()), max(sizes)
    places = target.dense()
    log_probs = places.new_full((len(sizes), U, L + 1, 3), -math.log(3.0))
    lengths = []
    for i, size in enumerate(sizes):
        frames = min(int(target.lengths[i]) // (size + 1), int(output.lengths[i]))
        part = places[i, : frames * (size + 1)].view(frames, size + 1, 3)
        log_probs[i, :frames, : size + 1] = part
        lengths.append(frames)
    device = places.device
    return Lattice(log_probs, torch.tensor(lengths, device=device), torch.tensor(sizes, device=device), target.head)


class Listener:
    """A model that listens to each batch beside the student, once for all terms that ask it."""

    def __init__(self, model: Recogniser):
        self.model = in_use(model).requires_grad_(False)
        self.last: tuple[Tensor, ModelOutput] | None = None

    def __call__(self, heard: Heard, output: ModelOutput) -> ModelOutput:
        """What it says of a batch."""
        if self.last is None or self.last[0] is not heard.feats:
            with torch.no_grad():
                self.last = (heard.feats, self.model(heard.feats, heard.feat_lens))
        return self.last[1]


class Average(Listener):
    """The student itself, its weights averaged over the updates so far (Tarvainen and Valpola 2017)."""

    def __init__(self, model: Recogniser, decay: float):
        super().__init__(copy.deepcopy(model))
        self.decay = decay

    def follow(self, model: Recogniser, update: int) -> None:
        """Moves the average on, faster at the start."""
        decay = min(self.decay, (1 + update) / (10 + update))
        self.last = None
        for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs.detach(), 1.0 - decay)
            else:
                mine.copy_(theirs)


class Itself:
    """The student as it is in this very update."""

    def __init__(self, model: Recogniser):
        self.model = model

    def __call__(self, heard: Heard, output: ModelOutput) -> ModelOutput:
        """Its own output, which no gradient goes back through."""
        detached = {name: x.detach() for name, x in output.logits.items()}
        hidden = [x.detach() for x in output.hidden]
        return ModelOutput(output.encoder_out.detach(), output.lengths, detached, hidden)


@dataclass(frozen=True)
class Live:
    """What a model says of a batch at this moment, as targets of one kind.

    Attributes:
        listener: Says it.
        kind: Of the soft labels.
        their_head: Of the teacher.
        head: Of the student.
        layer: Of the teacher, for hidden states.
        bridge: To the student.
    """

    listener: Listener | Itself
    kind: str
    their_head: str
    head: str
    layer: int = 0
    bridge: Bridge = NO_BRIDGE

    def __call__(self, heard: Heard, output: ModelOutput) -> Target:
        """The teacher's word on a batch."""
        said = self.listener(heard, output)
        if self.kind == "hidden_codes":
            return fitted(self.bridge(HiddenStates(said.layer(self.layer), said.lengths)), output)
        if self.kind == "frame_topk":
            blank_id = self.listener.model.blank_id
            target = from_logits(said.logits[self.their_head].detach(), said.lengths, blank_id, self.head)
            return fitted(self.bridge(target), output)
        with torch.no_grad():
            return forced_target(self.kind, self.listener.model, self.their_head, said, heard.labels, self.head)


def forced_target(
    kind: str, model: Recogniser, their_head: str, said: ModelOutput, labels: Labels, head: str
) -> Posteriors | Lattice:
    """What a head says of transcripts that it reads."""
    found = transcribed(said, labels)
    scores = model.heads[their_head].forced(found)
    if kind == "lattice":
        return Lattice(scores, found.lengths, found.sizes, head)
    return from_logits(scores, found.sizes + 1, model.blank_id, head)


@dataclass(frozen=True)
class StoredTranscripts:
    """What the teacher writes, in the student's tokens.

    Attributes:
        hypotheses: Of each utterance; of several, one is drawn by its weight each time.
        learn: The loss of the student's head.
        seed: Of what is drawn.
    """

    hypotheses: dict[str, Hypotheses]
    learn: Callable
    seed: int = 0

    def __call__(self, heard: Heard, output: ModelOutput) -> Transcripts:
        """The teacher's word on a batch."""
        return Transcripts([self.draw(utt_id, heard.update) for utt_id in heard.utt_ids], self.learn)

    def draw(self, utt_id: str, update: int) -> tuple[int, ...] | None:
        """One of the hypotheses of an utterance."""
        found = self.hypotheses[utt_id]
        if len(found) < 2:
            return found[0][0] if found else None
        drawn = random.Random(f"{self.seed} {update} {utt_id}")
        return drawn.choices([ids for ids, _ in found], [weight for _, weight in found])[0]


@dataclass(frozen=True)
class Ensemble:
    """Several teachers.

    Attributes:
        sources: One for each.
        combine: "average" and "weighted" take the mean of their probabilities; "best" takes of each utterance the
            teacher whose best path has the fewest errors, or without a transcript the one that is surest; "sampled"
            draws one for each batch (Fukuda et al. 2017).
        weights: That sum to 1.
        seed: Of what is drawn.
    """

    sources: list[Source]
    combine: str
    weights: list[float]
    seed: int = 0

    def __call__(self, heard: Heard, output: ModelOutput) -> Target:
        """The teachers' word on a batch."""
        if self.combine == "sampled":
            drawn = random.Random(f"{self.seed} {heard.update}")  # the same for all parts of a batch
            return drawn.choice(self.sources)(heard, output)
        said = [source(heard, output) for source in self.sources]
        if self.combine == "best":
            return best_of(said, heard.labels)
        return mean_of(said, self.weights)


def values_of(target: Posteriors | Lattice) -> Tensor:
    """The log-probabilities of all tokens."""
    return target.dense() if isinstance(target, Posteriors) else target.log_probs


def combined(targets: list, log_probs: Tensor) -> Posteriors | Lattice:
    """A target with these log-probabilities, on the frames that all have."""
    lengths = torch.stack([target.lengths for target in targets]).amin(0)
    whole = {"ids": None, "log_rest": None} if isinstance(targets[0], Posteriors) else {}
    return replace(targets[0], log_probs=log_probs, lengths=lengths, **whole)


def mean_of(targets: list, weights: list[float]) -> Posteriors | Lattice:
    """The weighted mean of the teachers' probabilities."""
    parts = [values_of(target) + math.log(w) for target, w in zip(targets, weights, strict=True)]
    return combined(targets, torch.stack(parts).logsumexp(0))


def best_of(targets: list[Posteriors], labels: Labels) -> Posteriors:
    """Of each utterance what its best teacher says."""
    values = [target.dense() for target in targets]
    chosen = []
    for row, tokens in enumerate(labels):
        ranks = [
            rank_of(x[row, : int(t.lengths[row])], tokens, t.blank_id) for x, t in zip(values, targets, strict=True)
        ]
        chosen.append(values[ranks.index(min(ranks))][row])
    return combined(targets, torch.stack(chosen))


def rank_of(log_probs: Tensor, tokens: tuple[int, ...] | None, blank_id: int) -> tuple[int, float]:
    """(errors of the best path (U, V) where the transcript is known, mean of -ln p of its tokens)."""
    surest, path = log_probs.max(-1)
    said = [token for token, _ in spikes(path.cpu().numpy(), blank_id)]
    errors = 0 if tokens is None else Levenshtein.distance(said, list(tokens))
    return errors, -float(surest.mean()) if len(surest) else math.inf
