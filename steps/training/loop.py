"""The training loop: one for every system."""

import math
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from steps.config.schema import SystemConfig
from steps.distillation.sources import Heard
from steps.nnet.device import room_for
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from steps.nnet.rounding import rounded_weights
from steps.training.batching import BatchSampler, size_of
from steps.training.checkpoints import Checkpoints
from steps.training.evaluate import DevResult
from steps.training.examples import Example
from steps.training.head_labels import labels_for
from steps.training.initialise import lr_scales
from steps.training.ranks import Ranks
from steps.training.schedule import learning_rate
from steps.training.spec_augment import SpecAugment
from steps.training.state import Progress, State
from steps.training.terms import DistillTerm
from utils.data_dir.archive import read_feats
from utils.jobs import log
from utils.jobs.errors import DataError, Interrupted

MAX_BAD_UPDATES = 3  # in a row


@dataclass
class Trainer:
    """Trains one model for a fixed number of updates; dev only picks what is averaged.

    Attributes:
        model: On the ranks' device.
        system: Its configuration.
        sampler: Yields the batches.
        terms: Of distillation; the twin has none.
        look_at_dev: Called on the main process.
        checkpoints: Where states go.
        identity: What a state belongs to; one of another run is refused.
        ranks: This process among others.
        seed: Of all noise.
        report: Called with the history after each look at dev.
        should_stop: Asked in each update.
        tick: Called with the number of updates done since the last call.
    """

    model: Recogniser
    system: SystemConfig
    sampler: BatchSampler
    terms: list[DistillTerm]
    look_at_dev: Callable[[], tuple[DevResult, dict]]
    checkpoints: Checkpoints
    identity: dict
    ranks: Ranks
    seed: int
    report: Callable[[list[dict]], None]
    should_stop: Callable[[], bool]
    tick: Callable[[int], object]

    def __post_init__(self) -> None:
        settings = self.system.train
        own = nn.ModuleList(term.weights for term in self.terms)  # of losses, which are not kept
        groups = weight_groups(self.model, settings.weight_decay, lr_scales(self.model, self.system.init.layer_decay))
        groups += weight_groups(own, settings.weight_decay, dict.fromkeys(own.state_dict(), 1.0))
        averages = {str(i): term.average.model for i, term in enumerate(self.terms) if term.average}  # of the model
        self.trained = (self.model, own)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, settings.beta2), fused=True)
        self.augment = SpecAugment(self.system.spec_augment, self.model.static_dim, self.model.band_hz)
        self.noise = random.Random(f"noise {self.seed}")
        self.state = State(
            {"model": self.model, "terms": own, "averages": nn.ModuleDict(averages)},
            self.optimizer,
            self.sampler,
            self.noise,
            self.checkpoints,
            self.identity,
            has_adapters=self.system.lora.rank > 0,
        )

    @property
    def progress(self) -> Progress:
        """How far training is."""
        return self.state.progress

    def train(self) -> dict[str, torch.Tensor]:
        """Goes on from the latest checkpoint to the end; returns the averaged weights."""
        self.state.resume()
        if self.progress.update:
            log.info(f"goes on after update {self.progress.update} of {self.system.train.updates}")
        self.model.train()
        self.rehearse()
        self.timed = (time.monotonic(), time.process_time())
        self.tick(self.progress.update)
        total = self.system.train.updates
        while True:
            if self.is_look_due():
                self.take_time()
                self.look()
            if self.progress.update == total:
                break
            is_stopping = self.update(self.sampler.next())
            self.tick(1)
            if is_stopping or self.progress.update % self.system.train.checkpoint_updates == 0:
                self.take_time()
                self.save()
            if is_stopping:
                raise Interrupted(f"saved after update {self.progress.update}; run the same command again to go on")
        if total == 0:
            return self.model.state_dict()
        best = [update for _, _, update in self.progress.best]
        return self.checkpoints.average(best) if self.ranks.is_main else {}

    def rehearse(self) -> None:
        """Computes the gradients of the epoch's largest batches, and forgets them.

        Too little memory is noticed before the first update, not hours later. Most of it grows with the frames of
        a batch, padding counted; that of self-attention with their square in each utterance.
        """
        if self.progress.update == self.system.train.updates:
            return
        for power in (1, 2):
            batch = max(self.sampler.batches, key=partial(size_of, power=power))
            with room(batch):
                self.backward([sum(total for total, _ in part.values()) for part in self.parts(batch, self.seed)])

    def is_look_due(self) -> bool:
        """Whether dev must be looked at before the next update."""
        p, settings = self.progress, self.system.train
        if p.update in (0, p.looked_at):
            return False
        due = p.update % settings.valid_updates == 0 if settings.valid_updates else self.sampler.is_epoch_end
        return due or p.update == settings.updates

    def take_time(self) -> None:
        """Adds the time since the last call, and the processor time of all ranks."""
        now = (time.monotonic(), time.process_time())
        self.progress.seconds += now[0] - self.timed[0]
        self.progress.cpu_seconds += self.ranks.sum([now[1] - self.timed[1]])[0]
        self.timed = now

    def update(self, batch: list[Example]) -> bool:
        """One step of the optimiser on one batch, unless its loss or gradient is not finite.

        Returns: Whether any rank was asked to stop.
        """
        settings = self.system.train
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_scale"] * learning_rate(self.progress.update, settings)
        noise = self.noise.getrandbits(62)
        weights = self.weights()
        bits = self.system.train.weight_bits
        with room(batch), rounded_weights(self.model, bits):
            parts = self.parts(batch, noise)
        counts = [sum(part[name][1] for part in parts) for name in weights]
        *totals, stops = self.ranks.sum([*counts, float(self.should_stop())])
        counts = dict(zip(weights, totals, strict=True))
        scales = {name: weight / max(counts[name], 1.0) for name, weight in weights.items()}
        with room(batch), rounded_weights(self.model, bits):
            self.backward([sum(scales[name] * total for name, (total, _) in part.items()) for part in parts])
        # apart, for a sum that is cut elsewhere, and a norm that also sums the zeros of a term of weight 0, differ from
        # the twin's in their last bits
        for part in self.trained:
            self.ranks.sum_gradients(part)
        weights_of = [list(part.parameters()) for part in self.trained]
        norm = sum(nn.utils.clip_grad_norm_(own, settings.clip_norm) for own in weights_of if own)
        values = self.ranks.sum([sum(float(part[name][0].detach()) for part in parts) for name in weights])
        self.progress.update += 1
        if not math.isfinite(norm) or not all(map(math.isfinite, values)):
            self.skip(batch)
            return stops > 0
        self.progress.bad_updates = 0
        self.optimizer.step()
        self.model.constrain()
        for term in self.terms:
            term.follow(self.model, self.progress.update)
        for name, value in zip(weights, values, strict=True):
            entry = self.progress.sums.setdefault(name, [0.0, 0.0])
            entry[0], entry[1] = entry[0] + value, entry[1] + counts[name]
        return stops > 0

    def parts(self, batch: list[Example], noise: int) -> list[dict[str, tuple[torch.Tensor, float]]]:
        """(sum, count) of each term on each of this process's parts of a batch."""
        found = []
        for number, part in self.ranks.parts(batch, self.system.train.ranks):
            seed_noise(noise + number, self.ranks.device)
            found.append({name: (total, float(count)) for name, (total, count) in self.losses(part).items()})
        return found

    def backward(self, losses: list[torch.Tensor]) -> None:
        """Sums the gradients of the parts' losses, one after the other as the ranks do."""
        self.optimizer.zero_grad(set_to_none=True)
        for loss in losses:
            loss.backward()

    def weights(self) -> dict[str, float]:
        """The weight of each term of the loss."""
        settings = self.system.train
        found = {name: table["weight"] for name, table in self.system.heads.items()}
        if settings.inner_ctc_weight:
            found["inner_ctc"] = settings.inner_ctc_weight
        return found | {term.name: term.settings.weight for term in self.terms}

    def losses(self, batch: list[Example]) -> dict[str, tuple[torch.Tensor, float]]:
        """(sum, count) of each term on a part of a batch."""
        device = self.ranks.device
        feats, feat_lens = pad([read_feats(e.feats, e.utt_id) for e in batch])
        feats, feat_lens = feats.to(device), feat_lens.to(device)
        mask = self.augment if self.progress.update >= self.system.spec_augment.start_update else None
        bf16 = torch.autocast(device.split(":")[0], torch.bfloat16) if self.system.train.bf16 else nullcontext()
        with bf16:
            output = self.model(feats, feat_lens, mask)
            inner = self.model.inner_output(output) if self.system.train.inner_ctc_weight else None
        found = {
            name: head.loss(output, labels_for(name, head, batch), self.progress.update)
            for name, head in self.model.heads.items()
        }
        if inner:
            found["inner_ctc"] = self.model.heads["ctc"].loss(inner, [example.tokens for example in batch])
        heard = Heard([e.utt_id for e in batch], [e.tokens for e in batch], feats, feat_lens, self.progress.update)
        for term in self.terms:
            found[term.name] = term(output, heard)
        return found

    def skip(self, batch: list[Example]) -> None:
        """Leaves the weights alone after a loss that is not finite. Raises: DataError when it goes on."""
        self.progress.bad_updates += 1
        ids = ", ".join(e.utt_id for e in batch[:5])
        log.info(f"update {self.progress.update} skipped: loss or gradient is not finite, in a batch with {ids}")
        if self.progress.bad_updates == MAX_BAD_UPDATES:
            raise DataError(
                f"loss not finite in {MAX_BAD_UPDATES} updates in a row, the last with utterance '{batch[0].utt_id}'; "
                "lower train.lr, or look at the features of the utterances above"
            )

    def look(self) -> None:
        """Looks at dev, keeps the model if it is among the best, and saves a state."""
        p = self.progress
        p.looked_at = p.update
        if self.ranks.is_main:
            with rounded_weights(self.model, self.system.train.weight_bits):
                result, facts = self.look_at_dev()
            means = {f"train_{name}": total / max(count, 1.0) for name, (total, count) in p.sums.items()}
            lr = learning_rate(p.update - 1, self.system.train)
            line = {"epoch": self.sampler.epoch + 1, "update": p.update, **means}
            line |= {f"dev_{name}": loss for name, loss in result.losses.items()}
            line |= {"dev_error_rate": result.error_rate, "dev_blank_share": result.blank_share, **facts, "lr": lr}
            p.history.append(line | {"seconds": round(p.seconds, 1), "cpu_seconds": round(p.cpu_seconds, 1)})
            self.report(p.history)
            rank = [x if math.isfinite(x) else math.inf for x in (result.error_rate, result.loss)]
            p.best = sorted([*p.best, [*rank, p.update]])[: self.system.train.average]
            if p.update in [update for _, _, update in p.best]:
                self.state.save_model()
        for buffer in self.model.buffers():  # a look may change them
            self.ranks.broadcast(buffer)
        p.sums = {}
        self.save()
        self.ranks.wait()

    def save(self) -> None:
        """Saves a state that training continues from bit by bit."""
        if self.ranks.is_main:
            self.state.save()


def weight_groups(model: nn.Module, weight_decay: float, scales: dict[str, float]) -> list[dict]:
    """The optimiser's groups of trained weights, by learning rate; only matrices decay."""
    groups: dict[tuple[float, bool], dict] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            decay = weight_decay if weight.ndim > 1 else 0.0
            key = (-scales[name], weight.ndim <= 1)
            group = groups.setdefault(key, {"params": [], "weight_decay": decay, "lr_scale": scales[name]})
            group["params"].append(weight)
    return [groups[key] for key in sorted(groups)]


def room(batch: list[Example]) -> AbstractContextManager[None]:
    """Names a batch that there is no memory for."""
    longest = sorted(batch, key=lambda example: -example.num_frames)
    return room_for([example.utt_id for example in longest], sum(example.num_frames for example in batch))


def seed_noise(seed: int, device: str) -> None:
    """Seeds dropout and masks; `torch.manual_seed` does the same a hundred times slower."""
    torch.default_generator.manual_seed(seed)
    if device != "cpu":
        torch.cuda.manual_seed(seed)
