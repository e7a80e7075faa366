"""The distillation losses by their name in conf.toml. Adding one takes its file and a line here."""

from pathlib import Path

LOSSES = {  # and what each reads of a teacher
    "frame_kl": "frame_topk",
    "pseudo_ctc": "transcripts",
}


def loss_file(name: str) -> Path:
    """The file that defines a loss."""
    return Path(__file__).with_name(f"{name}.py")
