"""LibriSpeech in its published layout: `<part>/<speaker>/<chapter>/` holds FLAC files and one transcript.

Which sets there are stands in [corpus.sets] of conf.toml: each is a list of parts, or of speakers of a part.

    train = ["train-clean-100", "train-clean-360"]
    dev = ["dev-clean-2 1/2"]             # of the part's speakers, sorted, the first of every two
    test = ["dev-clean-2 2/2"]            # the second of every two
    unlabelled = ["train-other-500 1,3/10"]

Source: https://www.openslr.org/12; mini LibriSpeech, of the same layout: https://www.openslr.org/31.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.corpus_folder import find_corpus, subfolders
from steps.config.load import load
from steps.config.schema import Config
from steps.config.systems import all_sets, variant_of
from steps.config.types import check, near
from utils.data_dir.corpus import CorpusUtterance, corpus_parser, prepare
from utils.data_dir.perturb import speeds
from utils.data_dir.tables import read_lines
from utils.jobs import log
from utils.jobs.errors import DataError, UsageError

PARTS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
MINI_PARTS = ("train-clean-5", "dev-clean-2")
KNOWN = (*PARTS, *MINI_PARTS)
SPEAKERS = dict(zip(PARTS, (251, 921, 1166, 40, 33, 40, 33), strict=True))
SHARE = re.compile(r"(\S+)(?: +(\d+(?:,\d+)*)/(\d+))?", re.ASCII)
DEFAULTS = {"sets": {}, "speeds": ["1"], "url": "https://www.openslr.org/resources"}


@dataclass(frozen=True)
class Share:
    """Speakers of a part: of the sorted ones, of every `every` those at some places, counted from 1."""

    part: str
    places: tuple[int, ...] = (1,)
    every: int = 1

    def of(self, speakers: list[str]) -> list[str]:
        """These speakers."""
        return [speaker for i, speaker in enumerate(sorted(speakers)) if i % self.every + 1 in self.places]


Sets = dict[str, list[Share]]


def to_share(text: object, where: str) -> Share:
    """A share as [corpus.sets] writes it. Raises: UsageError for another form or an unknown part."""
    found = SHARE.fullmatch(text) if isinstance(text, str) else None
    part, places, every = found.groups() if found else (None, None, None)
    if part not in KNOWN:
        raise UsageError(
            f"{where} = {text!r}: write a part, or '<part> 1/2' for some of its speakers{near(part, KNOWN)}"
        )
    if places is None:
        return Share(part)
    chosen = tuple(map(int, places.split(",")))
    if not all(1 <= place <= int(every) for place in chosen) or len(set(chosen)) < len(chosen):
        raise UsageError(f"{where} = {text!r}: places must differ, and be from 1 to {every}")
    return Share(part, chosen, int(every))


def settings_of(config: Config) -> dict:
    """The [corpus] table, checked and completed; `sets` holds shares. Raises: UsageError."""
    if unknown := config.corpus.keys() - DEFAULTS.keys():
        raise UsageError(f"[corpus] has no setting '{min(unknown)}'{near(min(unknown), DEFAULTS)}")
    settings = DEFAULTS | config.corpus
    used = [name for name in all_sets(config) if not variant_of(config, name)]  # those are copies
    if not isinstance(settings["sets"], dict):
        raise UsageError(f"corpus.sets = {settings['sets']!r}: [corpus.sets] is not a table")
    if set(settings["sets"]) != set(used):
        names = ", ".join(settings["sets"]) or "none"
        raise UsageError(f"[corpus.sets] has {names}; [data] uses {', '.join(used)}: name the same sets in both")
    sets = {}
    for name in used:
        shares = settings["sets"][name]
        if not isinstance(shares, list) or not shares:
            raise UsageError(f"corpus.sets.{name} = {shares!r}: not a list of parts")
        sets[name] = [to_share(text, f"corpus.sets.{name}") for text in shares]
    factors = speeds(check(settings["speeds"], list[str], "corpus.speeds"))
    return settings | {"sets": sets, "speeds": factors, "url": check(settings["url"], str, "corpus.url")}


def parts_of(sets: Sets) -> list[str]:
    """The parts that are needed, in the order of the publication."""
    chosen = {share.part for shares in sets.values() for share in shares}
    return [part for part in KNOWN if part in chosen]


def find_root(folder: Path, parts: list[str]) -> Path:
    """The folder that holds the parts: `folder` itself, or LibriSpeech/ in it.

    Raises: DataError that says what was expected, what was found, and the nearest match.
    """

    def has_parts(root: Path) -> bool:
        return any((root / part).is_dir() for part in KNOWN)

    root = find_corpus(folder, has_parts, ", ".join(f"{part}/" for part in parts), inner=("librispeech",))
    if missing := [part for part in parts if not (root / part).is_dir()]:
        there = ", ".join(part for part in KNOWN if (root / part).is_dir())
        raise DataError(
            f"{root}: expected {', '.join(missing)} too, found {there}; choose in [corpus.sets], or with --config"
        )
    return root


def speakers_of(root: Path, sets: Sets) -> dict[str, list[Path]]:
    """The folders of each set's speakers, sorted.

    Raises: UsageError for a set that chooses none, or a speaker in two sets; DataError for a part without any.
    """
    there = {part: {path.name: path for path in subfolders(root / part)} for part in parts_of(sets)}
    for part, folders in there.items():
        if len(folders) < SPEAKERS.get(part, 0):
            log.warn(f"{root / part}: {len(folders):,} speakers, the whole part has {SPEAKERS[part]:,}")
    home: dict[str, str] = {}
    found: dict[str, list[Path]] = {}
    for name, shares in sets.items():
        chosen = [there[share.part][speaker] for share in shares for speaker in share.of(list(there[share.part]))]
        if not chosen:
            count = sum(len(there[share.part]) for share in shares)
            if not count:
                raise DataError(f"{root / shares[0].part}: holds no speaker's folder that may be read; unpack it again")
            raise UsageError(f"corpus.sets.{name}: chooses none of {count} speakers in {root}")
        for path in chosen:
            if path.name in home:
                other = "twice" if home[path.name] == name else f"and in {home[path.name]}"
                raise UsageError(f"corpus.sets: speaker {path.name} is in {name} {other}")
            home[path.name] = name
        found[name] = chosen
    return found


def chapters_of(speaker: Path) -> list[Path]:
    """The folders of a speaker's chapters, sorted. Raises: DataError when there is none that may be read."""
    if not (found := subfolders(speaker)):
        raise DataError(f"{speaker}: expected folders of chapters, found none that may be read; unpack the part again")
    return found


def transcript_of(chapter: Path) -> Path:
    """The transcript of a chapter. Raises: DataError when there is none."""
    path = chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt"
    if not path.is_file():
        raise DataError(f"{chapter}: expected {path.name} and FLAC files in it; unpack the part again")
    return path


def chapter_utterances(transcript: Path) -> Iterator[CorpusUtterance]:
    """The utterances of a chapter, without opening any audio.

    Raises: DataError when a line of the transcript has no audio, or audio no line.
    """
    folder = str(transcript.parent)
    speaker, prefix = transcript.parent.parent.name, transcript.name.removesuffix(".trans.txt")
    audio = {name for name in os.listdir(folder) if name.endswith(".flac") and not name.startswith(".")}
    for number, line in enumerate(read_lines(transcript), start=1):
        utt_id, _, text = line.partition(" ")
        if not utt_id.startswith(f"{prefix}-") or not text.strip():
            raise DataError(f"{transcript}:{number}: '{line[:60]}' is not '{prefix}-<number> <words>'; unpack it again")
        if f"{utt_id}.flac" not in audio:
            raise DataError(f"{transcript}:{number}: utterance '{utt_id}' has no {utt_id}.flac; unpack it again")
        audio.remove(f"{utt_id}.flac")
        yield CorpusUtterance(utt_id, speaker, f"{folder}/{utt_id}.flac", text)
    if audio:
        raise DataError(f"{transcript}: has no line for {min(audio)} ({len(audio)} files are like this)")


def prepare_librispeech(doc: str, argv: list[str]) -> None:
    """The main function of a recipe's local/prepare_data.py."""
    args = corpus_parser(doc).parse_args(argv)
    config = load(args.config, args.set)
    settings = settings_of(config)
    root = find_root(args.corpus_dir, parts_of(settings["sets"])).resolve()
    speakers = speakers_of(root, settings["sets"])
    transcripts = {
        name: [transcript_of(chapter) for path in paths for chapter in chapters_of(path)]
        for name, paths in speakers.items()
    }

    def make_sets(_stage: Path, _final: Path) -> dict[str, Iterator[CorpusUtterance]]:
        return {name: (u for path in paths for u in chapter_utterances(path)) for name, paths in transcripts.items()}

    files = [path for paths in transcripts.values() for path in paths]
    speeds_of = {config.data.train: settings["speeds"]} if settings["speeds"] != ["1"] else {}
    prepare(args, files, make_sets, {"sets": config.corpus["sets"]}, speeds_of)
