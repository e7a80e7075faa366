"""How far the distillation term from the store is from that of the live teacher, on a trained student.

    python3 -m tests.pipeline.store_against_live egs/demo

prints the relative difference of frame KL, and of its gradient with respect to the student's weights, summed over
the first utterances of the training set, at temperatures 1, 2 and 4.
"""

import sys
from pathlib import Path

import torch

from steps.config.systems import soft_label_folder
from steps.distillation.posteriors import PosteriorStore
from steps.distillation.targets import Posteriors, from_logits
from steps.losses.frame_kl import frame_kl
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser, load_model
from utils.data_dir.archive import read_feats
from utils.data_dir.tables import read_table

TEMPERATURES = (1.0, 2.0, 4.0)


def gradient(student: Recogniser, feats: tuple, target: Posteriors, temperature: float) -> tuple[float, torch.Tensor]:
    """The term, and its gradient as one vector."""
    student.zero_grad()
    total, _ = frame_kl(student(*feats), target, temperature=temperature)
    total.backward()
    return float(total.detach()), torch.cat([p.grad.flatten() for p in student.parameters()])


def differences(recipe: Path, num_utts: int = 16) -> dict[float, tuple[float, float]]:
    """Temperature -> (relative difference of the term, relative norm of the difference of the gradients)."""
    teacher = recipe / "exp" / "teacher" / "seed0"
    scp = read_table(recipe / "data" / "train" / "feats.scp")
    utt_ids = list(scp)[:num_utts]
    student = load_model(recipe / "exp" / "student" / "seed0").model
    feats = pad([read_feats(str(recipe / scp[u]), u) for u in utt_ids])
    with torch.no_grad():
        output = load_model(teacher).model(*feats)
    live = from_logits(output.logits["ctc"], output.lengths, 0)
    stored = PosteriorStore(soft_label_folder(teacher, "train", "frame_topk")).batch(utt_ids, "cpu")
    found = {}
    for temperature in TEMPERATURES:
        a, grad_a = gradient(student, feats, stored, temperature)
        b, grad_b = gradient(student, feats, live, temperature)
        found[temperature] = (abs(a - b) / b, float((grad_a - grad_b).norm() / grad_b.norm()))
    return found


if __name__ == "__main__":
    for temperature, (term, grad) in differences(Path(sys.argv[1])).items():
        print(f"temperature {temperature:g}: term differs by {100 * term:.3f} %, gradient by {100 * grad:.3f} %")
