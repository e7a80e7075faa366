"""LibriSpeech in its published layout: `<part>/<speaker>/<chapter>/` holds FLAC files and one transcript.

    root = find_root(Path("downloads"), ["dev-clean"])
    utterances = part_utterances(root / "dev-clean")

Source: https://www.openslr.org/12; mini LibriSpeech, of the same layout: https://www.openslr.org/31.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from utils.data_dir.corpus import CorpusUtterance, prepare
from utils.data_dir.tables import read_text_file
from utils.jobs.errors import DataError, UsageError

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
MINI_PARTS = ("train-clean-5", "dev-clean-2")


def find_root(folder: Path, parts: list[str]) -> Path:
    """The folder that holds the parts: `folder` itself, or LibriSpeech/ in it.

    Raises: DataError that says what was expected, what was found, and the nearest match.
    """
    for root in (folder, folder / "LibriSpeech"):
        if all((root / part).is_dir() for part in parts):
            return root
    known = (*PARTS, *MINI_PARTS)
    around = (folder.parent, folder, *sorted(folder.glob("*/")))
    near = [root for root in around if any((root / name).is_dir() for name in known)]
    wanted = ", ".join(f"{part}/" for part in parts)
    if not near:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:3]) or "nothing"
        raise DataError(f"{folder}: expected {wanted}, found {found}")
    there = [name for name in known if (near[0] / name).is_dir()]
    missing = [part for part in parts if part not in there]
    if near[0] in (folder, folder / "LibriSpeech") and missing:
        raise DataError(f"{near[0]}: {', '.join(missing)} missing, found {', '.join(there)}; choose parts in [corpus]")
    raise DataError(f"{folder}: expected {wanted}; did you mean {near[0]}?")


def transcript_files(part: Path) -> list[Path]:
    """The transcripts of a part, one a chapter, sorted. Raises: DataError when there are none."""
    files = sorted(part.glob("*/*/*.trans.txt"))
    if not files:
        raise DataError(f"{part}: no <speaker>/<chapter>/<speaker>-<chapter>.trans.txt in it")
    return files


def part_utterances(part: Path) -> Iterator[CorpusUtterance]:
    """The utterances of a part, without opening any audio.

    Raises: DataError when a transcript has no audio, or audio no transcript.
    """
    for path in transcript_files(part):
        speaker = path.parent.parent.name
        audio = {name for name in os.listdir(path.parent) if name.endswith(".flac")}
        for number, line in enumerate(read_text_file(path).splitlines(), start=1):
            utt_id, _, text = line.partition(" ")
            if not utt_id.startswith(f"{speaker}-") or not text.strip():
                raise DataError(f"{path}:{number}: '{line[:60]}' is not '<utterance> <words>' of speaker {speaker}")
            if f"{utt_id}.flac" not in audio:
                raise DataError(f"{path}:{number}: utterance '{utt_id}' has no {utt_id}.flac beside it")
            audio.remove(f"{utt_id}.flac")
            yield CorpusUtterance(utt_id, speaker, path.with_name(f"{utt_id}.flac"), text.strip())
        if audio:
            raise DataError(f"{path}: has no line for {sorted(audio)[0]} ({len(audio)} files are like this)")


def check_parts(chosen: dict[str, list[str]], known: tuple[str, ...]) -> None:
    """Raises UsageError when a set has no part, or one that does not exist or is in another set."""
    seen: set[str] = set()
    for name, parts in chosen.items():
        for part in parts or [""]:
            if part not in known:
                raise UsageError(f"corpus.{name} = {parts}: choose some of {', '.join(known)}")
            if part in seen:
                raise UsageError(f"corpus.{name}: {part} is in two sets")
            seen.add(part)


def prepare_parts(args: object, chosen: dict[str, list[str]]) -> None:
    """Prepares the sets of a recipe.

    Args:
        args: The parsed options of `corpus_parser`.
        chosen: The parts of each set, by the set's name.
    """
    root = find_root(args.corpus_dir, [part for parts in chosen.values() for part in parts])
    files = [path for parts in chosen.values() for part in parts for path in transcript_files(root / part)]

    def make_sets(_stage: Path, _final: Path) -> dict[str, list[CorpusUtterance]]:
        return {
            name: [utterance for part in parts for utterance in part_utterances((root / part).resolve())]
            for name, parts in chosen.items()
        }

    prepare(args, files, make_sets, settings={"parts": chosen})
