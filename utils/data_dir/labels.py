"""Labels of utterances besides their words: `utt2<label>`, or `spk2<label>` for what a speaker keeps."""

from pathlib import Path

from utils.data_dir.tables import read_table
from utils.jobs.errors import DataError


def label_file(data_dir: Path, label: str) -> Path:
    """The file that holds a label. Raises: DataError when there is none."""
    for path in (data_dir / f"utt2{label}", data_dir / f"spk2{label}"):
        if path.is_file():
            return path
    raise DataError(f"{data_dir}: neither utt2{label} nor spk2{label} is there; write `<id> <class>` lines")


def read_labels(data_dir: Path, label: str) -> dict[str, str]:
    """The class of each utterance that has one.

    Raises: DataError when the file is missing, or names an utterance or speaker that the directory lacks.
    """
    path, utt2spk = label_file(data_dir, label), read_table(data_dir / "utt2spk")
    found = read_table(path)
    is_of_speakers = path.name.startswith("spk2")
    known = set(utt2spk.values()) if is_of_speakers else set(utt2spk)
    for number, key in enumerate(found, start=1):
        if key not in known:
            kind = "speaker" if is_of_speakers else "utterance"
            raise DataError(f"{path}:{number}: {kind} '{key}' is not in {data_dir}/utt2spk")
    if not found:
        raise DataError(f"{path}: holds no class; write `<id> <class>` lines")
    if not is_of_speakers:
        return found
    return {utt_id: found[speaker] for utt_id, speaker in utt2spk.items() if speaker in found}
