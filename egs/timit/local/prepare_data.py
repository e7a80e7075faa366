"""<corpus>/{TRAIN,TEST}/DR<n>/<SPEAKER>/<SENTENCE>.{WAV,PHN} -> data/{train,dev,test}

Names may be in capital or small letters, audio SPHERE or RIFF; <SENTENCE>.WAV.wav, a RIFF copy, is read where there
is no <SENTENCE>.WAV. The sets are the usual ones: all speakers of TRAIN; of TEST 50 for dev, and the 24 of the core
test set. speakers.txt lists them. The sentences SA1 and SA2, which everybody read, are left out. `text` holds the 48
phones that phones_61_48.txt makes of the corpus's 61, without the glottal stop q.

Source: the corpus's own readme.doc, phoncode.doc and testset.doc; for dev and the 48 phones Halberstadt 1998, Lee and
Hon 1989.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from local.corpus_folder import find_corpus, subfolders
from steps.config.load import load
from steps.config.types import check
from steps.scoring.units import read_map
from utils.data_dir.corpus import CorpusUtterance, corpus_parser, prepare
from utils.data_dir.perturb import speeds
from utils.data_dir.tables import read_lines, read_table
from utils.jobs import log
from utils.jobs.cli import run
from utils.jobs.errors import DataError, UsageError

HERE = Path(__file__).parent
SPEAKERS, PHONES = HERE / "speakers.txt", HERE / "phones_61_48.txt"
EXPECTED = "TIMIT's TRAIN/DR1/ and TEST/DR1/"
SPEAKER = re.compile(r"[FM][A-Z]{3}\d", re.ASCII)  # sex, initials, a digit to tell speakers apart
FILE = re.compile(r"(S[AIX]\d+)\.(WAV|WAV\.WAV|PHN)", re.ASCII)
PHONE = re.compile(r"(\d+) +(\d+) +(\S+)", re.ASCII)  # first sample, the one behind the last, label
SIZES = {"train": 3696, "dev": 400, "test": 192}  # utterances of the whole corpus


def named(folder: Path, name: str) -> Path | None:
    """The folder of a name in capital or small letters in another one, if it is there."""
    return next((path for path in subfolders(folder) if path.name.upper() == name), None)


def is_timit(folder: Path) -> bool:
    """Whether a folder holds both halves of the corpus."""
    halves = [named(folder, half) for half in ("TRAIN", "TEST")]
    return all(half and any(re.fullmatch("DR[1-8]", path.name.upper()) for path in subfolders(half)) for half in halves)


def speakers_of(half: Path) -> dict[str, Path]:
    """The folder of each speaker of a half. Raises: DataError for a folder that is none."""
    found: dict[str, Path] = {}
    for region in subfolders(half):
        for path in subfolders(region):
            speaker = path.name.upper()
            if not SPEAKER.fullmatch(speaker):
                raise DataError(f"{path}: not named as a speaker is (FCJF0, say); take it out of the corpus")
            if speaker in found:
                raise DataError(f"{path}: speaker {speaker} is in {found[speaker]} too; keep one of them")
            found[speaker] = path
    return found


def split(root: Path) -> dict[str, dict[str, Path]]:
    """The folder of each speaker of each set. Raises: DataError when one of dev or test is missing, or in TRAIN."""
    train, rest = (speakers_of(named(root, half)) for half in ("TRAIN", "TEST"))
    if both := sorted(train.keys() & rest.keys()):
        raise DataError(f"{rest[both[0]]}: speaker {both[0]} is in {train[both[0]]} too; keep one of them")
    sets: dict[str, dict[str, Path]] = {"train": train, "dev": {}, "test": {}}
    missing = []
    for speaker, name in read_table(SPEAKERS).items():
        if speaker in rest:
            sets[name][speaker] = rest[speaker]
        else:
            missing.append(f"{speaker} of {name}")
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{named(root, 'TEST')}: speaker {missing[0]} is missing{more}; copy the corpus again")
    return sets


def sentences_of(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of each sentence of a speaker but SA1 and SA2, by kind. Raises: DataError when one is missing."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        name = FILE.fullmatch(path.name.upper())
        if name and not name[1].startswith("SA"):
            found.setdefault(name[1], {}).setdefault(name[2], path)
    for sentence, files in found.items():
        if "PHN" not in files or len(files) == 1:
            missing = "PHN" if "PHN" not in files else "WAV"
            raise DataError(f"{folder}: sentence {sentence} has no {sentence}.{missing}; copy the corpus again")
    return found


def read_phones(path: Path, table: dict[str, str]) -> str:
    """The phones of a sentence, mapped. Raises: DataError for a line of another form, an unknown phone, or none."""
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = PHONE.fullmatch(line.strip().lower())
        if not fields or int(fields[1]) > int(fields[2]):
            raise DataError(f"{path}:{number}: '{line[:60]}' is not '<first sample> <last sample> <phone>'; correct it")
        if fields[3] not in table:
            raise DataError(f"{path}:{number}: '{fields[3]}' is none of the {len(table)} phones of TIMIT; correct it")
        found.append(table[fields[3]])
    if not (phones := list(filter(None, found))):
        raise DataError(f"{path}: holds no phone; copy it again")
    return " ".join(phones)


def utterances(sentences: dict[str, dict[str, dict[str, Path]]], table: dict[str, str]) -> Iterator[CorpusUtterance]:
    """The utterances of a set, from the files of each sentence of each speaker."""
    for speaker, of_speaker in sentences.items():
        for sentence, files in of_speaker.items():
            audio = files.get("WAV") or files["WAV.WAV"]
            yield CorpusUtterance(f"{speaker}-{sentence}", speaker, audio, read_phones(files["PHN"], table))


def factors_of(corpus: dict) -> list[str]:
    """[corpus] speeds. Raises: UsageError for a wrong one, or another setting."""
    if corpus.keys() - {"speeds"}:
        raise UsageError(f"[corpus] has the setting speeds, not {', '.join(sorted(corpus))}")
    return speeds(check(corpus.get("speeds", ["1"]), list[str], "corpus.speeds"))


def main(argv: list[str]) -> None:
    """Prepares the corpus."""
    args = corpus_parser(__doc__).parse_args(argv)
    factors = factors_of(load(args.config, args.set).corpus)
    root = find_corpus(args.corpus_dir, is_timit, EXPECTED, inner=("timit", "data", "ldc93s1")).resolve()
    files = {
        name: {speaker: sentences_of(folder) for speaker, folder in folders.items()}
        for name, folders in split(root).items()
    }
    for name, size in SIZES.items():
        count = sum(map(len, files[name].values()))
        if count != size:
            log.warn(f"{root}: {count:,} utterances for {name}, the whole corpus has {size:,}")
    labels = [one["PHN"] for of_set in files.values() for sents in of_set.values() for one in sents.values()]

    def make_sets(_stage: Path, _final: Path) -> dict[str, Iterator[CorpusUtterance]]:
        table = read_map(PHONES)
        return {name: utterances(of_set, table) for name, of_set in files.items()}

    prepare(args, [*labels, SPEAKERS, PHONES], make_sets, {}, {"train": factors} if factors != ["1"] else {})


if __name__ == "__main__":
    run(main)
