import pytest
import torch

from steps.distillation.targets import from_logits
from steps.losses.pseudo_ctc import collapse, pseudo_ctc
from steps.nnet.output import ModelOutput

V = 4
PATHS = [[0, 1, 1, 0, 2, 2], [3, 3, 0, 3], [0, 0]]
LABELS = [[1, 2], [3, 3], []]


def logits_of(paths):
    """Logits whose best tokens are those of the paths, padded with a loud token."""
    logits = torch.full((len(paths), max(map(len, paths)), V), -1.0)
    logits[..., 3] = 9.0
    for row, path in zip(logits, paths, strict=True):
        row[: len(path)] = torch.nn.functional.one_hot(torch.tensor(path), V).float() * 5
    return logits


def batch(paths, seed=0):
    """(student's output, teacher's target) of utterances with these best paths of the teacher."""
    lengths = torch.tensor([len(path) for path in paths])
    student = torch.randn(len(paths), int(lengths.max()), V, generator=torch.Generator().manual_seed(seed))
    return ModelOutput(student, lengths, {"ctc": student}), from_logits(logits_of(paths), lengths, 0)


@pytest.mark.parametrize(("path", "labels"), zip(PATHS, LABELS, strict=True))
def test_a_path_is_collapsed(path, labels):
    assert collapse(torch.tensor(path), 0).tolist() == labels


def test_the_loss_is_that_of_the_pseudo_transcripts():
    output, target = batch(PATHS)
    expected = 0.0
    for i, (path, labels) in enumerate(zip(PATHS, LABELS, strict=True)):
        if labels:
            log_probs = output.logits["ctc"][i, : len(path)].log_softmax(-1)
            sizes = torch.tensor(len(path)), torch.tensor(len(labels))
            expected += torch.nn.functional.ctc_loss(log_probs, torch.tensor(labels), *sizes, 0, reduction="sum")
    total, count = pseudo_ctc(output, target)
    assert float(total) == pytest.approx(float(expected), rel=1e-5) and count == 4


def test_a_batch_without_a_label_has_no_loss():
    output, target = batch([[0, 0], [0]])
    total, count = pseudo_ctc(output, target)
    assert (float(total), count) == (0.0, 0)
