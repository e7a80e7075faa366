"""The distillation losses by their name in conf.toml. Adding one takes its file and a line here.

A loss is a function (output, target, *, settings) -> (sum, count). One with weights of its own is a module that is
built from (shape, *, settings), see `steps.losses.shape`, and is called with (output, target).
"""

from pathlib import Path

LOSSES = {  # the function or class, and the soft labels that it reads
    "attention_transfer": ("attention_transfer", "hidden_codes"),
    "codebook": ("Codebook", "hidden_codes"),
    "decoupled_kl": ("decoupled_kl", "frame_topk"),
    "frame_kl": ("frame_kl", "frame_topk"),
    "hint": ("Hint", "hidden_codes"),
    "inner_kl": ("InnerKl", "frame_topk"),
    "lattice_kl": ("lattice_kl", "lattice"),
    "pseudo_labels": ("pseudo_labels", "transcripts"),
    "similarity": ("similarity", "hidden_codes"),
    "token_kl": ("token_kl", "token_topk"),
    "tolerant_ctc": ("tolerant_ctc", "frame_topk"),
}
KINDS = {  # of soft labels, and the types of the teacher's heads that they come from; of the student's too
    "frame_topk": ("ctc", "hmm"),
    "hidden_codes": (),
    "lattice": ("transducer",),
    "token_topk": ("las", "transformer_decoder"),
    "transcripts": (),
}
FORCED = ("lattice", "token_topk")  # kinds in which both read the same transcript


def loss_file(name: str) -> Path:
    """The file that defines a loss."""
    return Path(__file__).with_name(f"{name}.py")


def find_loss(name: str) -> object:
    """The function or class of a loss, and the unit of its mean."""
    from importlib import import_module

    module = import_module(f"steps.losses.{name}")
    return getattr(module, LOSSES[name][0]), module.UNIT
