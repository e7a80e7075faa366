"""Batches of near-equal length, in an order that depends on the seed and the epoch alone."""

import random
from collections.abc import Iterator

from steps.training.examples import Example


def make_batches(
    examples: list[Example], max_frames: int, seed: int, epoch: int, is_sorted: bool = False, parts: int = 1
) -> list[list[Example]]:
    """All examples in batches of at most `max_frames` frames with padding, in random order or the shortest first.

    Lengths are jittered by up to a tenth, so that neighbours change from epoch to epoch. A batch that is to be cut into
    `parts` has as many examples for each, as far as they fit.
    """
    generator = random.Random(f"{seed} {epoch}")
    jittered = [(example.num_frames * generator.uniform(0.9, 1.0), example) for example in examples]
    ordered = [example for _, example in sorted(jittered, key=lambda pair: (pair[0], pair[1].utt_id))]
    batches: list[list[Example]] = []
    longest = 0
    for row in in_rows(ordered, parts, max_frames):
        own = max(example.num_frames for example in row)
        longest = max(longest, own)
        if batches and longest * (len(batches[-1]) + len(row)) <= max_frames:
            batches[-1] += row
        else:
            batches.append(row)
            longest = own
    if not is_sorted:
        generator.shuffle(batches)
    return batches


def in_rows(ordered: list[Example], parts: int, max_frames: int) -> Iterator[list[Example]]:
    """Neighbours, one for each part of a batch; alone where they are too long together."""
    for i in range(0, len(ordered), parts):
        row = ordered[i : i + parts]
        yield from [row] if size_of(row) <= max_frames else [[example] for example in row]


def size_of(batch: list[Example], power: int = 1) -> int:
    """Utterances times the frames of the longest, or their square."""
    return len(batch) * max(example.num_frames for example in batch) ** power


class BatchSampler:
    """Endless batches, with a position that can be saved and restored.

    The first `curriculum_epochs` go from short utterances to long ones, on which CTC finds its alignment sooner.
    """

    def __init__(self, examples: list[Example], max_frames: int, seed: int, curriculum_epochs: int = 0, parts: int = 1):
        self.examples, self.max_frames, self.seed = examples, max_frames, seed
        self.curriculum_epochs, self.parts = curriculum_epochs, parts
        self.restore({"epoch": 0, "index": 0})

    @property
    def is_epoch_end(self) -> bool:
        """Whether every example was seen in this epoch."""
        return self.index == len(self.batches)

    def next(self) -> list[Example]:
        """The next batch."""
        if self.is_epoch_end:
            self.restore({"epoch": self.epoch + 1, "index": 0})
        self.index += 1
        return self.batches[self.index - 1]

    def state(self) -> dict:
        """The position."""
        return {"epoch": self.epoch, "index": self.index}

    def restore(self, state: dict) -> None:
        """Goes to a saved position."""
        self.epoch, self.index = state["epoch"], state["index"]
        self.batches = self.batches_of(self.epoch)

    def batches_of(self, epoch: int) -> list[list[Example]]:
        """All batches of an epoch."""
        is_sorted = epoch < self.curriculum_epochs
        return make_batches(self.examples, self.max_frames, self.seed, epoch, is_sorted, self.parts)
