"""The names of the states that a training is resumed from; without torch, for commands that only ask."""

from pathlib import Path


def resume_file(folder: Path, update: int) -> Path:
    """Where the state after an update lies in a folder `checkpoints/`."""
    return folder / f"resume-{update}.safetensors"


def resume_files(folder: Path) -> dict[int, Path]:
    """The states that are there, by update, the oldest first."""
    numbered = {path.stem.removeprefix("resume-"): path for path in folder.glob("resume-*.safetensors")}
    return dict(sorted((int(number), path) for number, path in numbered.items() if number.isdecimal()))
