"""From a corpus to data directories: the part that every recipe's `local/prepare_data.py` shares.

A recipe says which files its corpus has and which utterances each set holds; `prepare` writes the directories,
keeps the manifest, and reports a wrong corpus folder in one line.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from utils.data_dir.data_dir import DataDir
from utils.data_dir.perturb import perturb
from utils.data_dir.transmit import channels, transmit
from utils.jobs import log
from utils.jobs.cli import Parser
from utils.jobs.errors import DataError, UsageError
from utils.jobs.job import Job

FORMAT = 1


@dataclass(frozen=True, slots=True)
class CorpusUtterance:
    """One utterance that is a whole audio file.

    Attributes:
        text: None where there is no transcript.
        of_speaker: What is known of the speaker, by label: `{"gender": "f"}` becomes a line of `spk2gender`.
    """

    utt_id: str
    speaker: str
    path: Path | str
    text: str | None
    of_speaker: Mapping[str, str] = field(default_factory=dict)


def find_audio(corpus_dir: Path, pattern: str, example: str) -> list[Path]:
    """The files of a corpus, sorted. Raises: DataError that says what was expected and what was found."""
    if not corpus_dir.is_dir():
        raise DataError(f"{corpus_dir}: no such folder; --corpus-dir must hold files such as {example}")
    files = sorted(corpus_dir.glob(pattern))
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: {'a folder' if file.is_dir() else 'a link to nothing'}, not an audio file")
    if not files:
        found = sorted(p.name for p in corpus_dir.iterdir())[:3]
        near = [p for p in (corpus_dir.parent, *corpus_dir.iterdir()) if p.is_dir() and any(p.glob(pattern))]
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(
            f"{corpus_dir}: expected files such as {example} ({pattern}), found {', '.join(found) or 'nothing'}{hint}"
        )
    return files


def normalise_text(text: str) -> str:
    """Unicode NFC, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def to_data_dir(path: Path, utterances: Iterable[CorpusUtterance]) -> DataDir:
    """The tables of one set. Raises: DataError when an id comes twice, or a speaker has two values of a label."""
    tables: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "text": {}}
    for utterance in utterances:
        try:
            f"{utterance.path} {utterance.utt_id} {utterance.speaker}".encode()
        except UnicodeEncodeError:
            raise DataError(f"{ascii(str(utterance.path))}: its name is not UTF-8; rename it (convmv)") from None
        for kind, name in (("utterance id", utterance.utt_id), ("speaker", utterance.speaker)):
            if not name or name.split() != [name]:
                raise DataError(f"{utterance.path}: {kind} '{name}' holds a space, or nothing")
        if utterance.utt_id in tables["utt2spk"]:
            raise DataError(f"{utterance.path}: utterance id '{utterance.utt_id}' comes twice")
        tables["wav.scp"][utterance.utt_id] = str(utterance.path)
        tables["utt2spk"][utterance.utt_id] = utterance.speaker
        if utterance.text is not None:
            tables["text"][utterance.utt_id] = normalise_text(utterance.text)
        for label, value in utterance.of_speaker.items():
            first = tables.setdefault(f"spk2{label}", {}).setdefault(utterance.speaker, value)
            if first != value:
                raise DataError(f"{utterance.path}: speaker '{utterance.speaker}' has {label} '{first}' and '{value}'")
    if not tables["text"]:
        del tables["text"]
    return DataDir(path, tables)


def corpus_parser(doc: str) -> Parser:
    """The options that every `local/prepare_data.py` is called with."""
    parser = Parser(doc)
    parser.add_config()
    parser.add_job()
    parser.add_nj()
    parser.add_argument("--corpus-dir", type=Path, default=Path("downloads"), help="where the corpus is")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the data directories go")
    return parser


def prepare(
    args: object,
    files: list[Path],
    make_sets: Callable[[Path, Path], dict[str, Iterable[CorpusUtterance]]],
    settings: dict,
    speeds: dict[str, list[str]] | None = None,
    heard: dict[str, tuple[str, list[str]]] | None = None,
) -> None:
    """Writes <data-dir>/<set> for each set, if anything changed: a file, a setting, or a script in local/.

    Args:
        args: The parsed options of `corpus_parser`.
        files: All files of the corpus that are read, transcripts too.
        make_sets: Gets the folder to write new audio in, and the folder where that audio will lie in the end;
            returns the utterances of each set, which are gone through once: a generator saves memory.
        settings: What else the result depends on.
        speeds: For sets that are heard at several speeds, the factors, "1" for the speech as it is.
        heard: Further sets: of which one, and through which channels, as in
            `{"train_phone": ("train", ["telephone:snr_db=15"])}`. They have the same utterances at the same speeds.
    """
    speeds = speeds or {}
    home = str(args.data_dir.resolve())  # wav.scp holds absolute paths
    try:
        home.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{ascii(home)}: a folder's name is not UTF-8; rename it") from None
    heard = {name: [source, channels(choices)] for name, (source, choices) in (heard or {}).items()}
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: missing from the corpus")

    def build(stage: Path) -> dict:
        set_of: dict[str, str] = {}  # by utterance
        written: dict[str, DataDir | None] = {}  # kept where another set is made of it
        for name, utterances in make_sets(stage, args.data_dir.resolve()).items():
            data = to_data_dir(stage / name, utterances)
            if not data.utt_ids:
                raise DataError(f"{args.data_dir / name}: the corpus has no utterances for this set")
            for utt_id in data.utt_ids:
                if set_of.setdefault(utt_id, name) != name:
                    path = data.tables["wav.scp"][utt_id]
                    raise DataError(f"{path}: utterance id '{utt_id}' is in {set_of[utt_id]} and in {name}")
            at_speeds = f", at {len(speeds[name])} speeds" if name in speeds else ""
            speakers = len(set(data.utt2spk.values()))
            log.info(f"{args.data_dir / name}: {len(data.utt_ids):,} utterances, {speakers} speakers{at_speeds}")
            if name in speeds:
                data = perturb(data, speeds[name])
            data.write(stage / name)
            written[name] = data if name in {source for source, _ in heard.values()} else None
        for name, (source, choices) in heard.items():
            if source not in written or name in written:
                raise UsageError(f"'{source}' cannot be heard as '{name}': the sets are {', '.join(written)}")
            transmit(written[source], choices).write(stage / name)
            log.info(f"{args.data_dir / name}: {source} through {', '.join(choices)}")
        return {"in": len(set_of), "out": len(set_of), "dropped": 0}

    inputs = (*files, *sorted(Path("local").glob("*.py")))
    settings = (
        settings | {"data_dir": home} | ({"speeds": speeds} if speeds else {}) | ({"heard": heard} if heard else {})
    )
    job = Job("prepare_data", FORMAT, args.data_dir / "manifest.json", inputs, settings, editable=True)
    job.run(args, build)
