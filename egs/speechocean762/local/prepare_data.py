"""<corpus>/{train,resource,WAVE} -> data/{train,dev,test}[_<channel>], data/local/dict/lexicon.txt

Each set has spk2gender (f, m) and spk2age_group (child, adult).

Speakers are split by rule: of all, sorted, every fifth goes to test; of the rest every tenth to dev. Utterance ids
become `<speaker>-<utterance>`. The lexicon loses its stress marks, and the pronunciation that the corpus chooses most
often for a word stands first.
"""

from collections import Counter, defaultdict
from pathlib import Path

from local.corpus_folder import find_corpus
from steps.config.load import load
from steps.config.types import check as check_type
from steps.config.types import check_name
from steps.tokens.lexicon import Lexicon, to_text
from utils.data_dir.corpus import CorpusUtterance, corpus_parser, prepare
from utils.data_dir.perturb import speeds
from utils.data_dir.tables import read_lines
from utils.jobs.cli import run
from utils.jobs.errors import DataError, UsageError

HALVES = ("train", "test")
TABLES = ("wav.scp", "text", "utt2spk", "spk2gender", "spk2age")
ADULT_YEARS = 16
DEFAULTS = {"halves": ["train"], "speeds": ["1"], "channels": {}}
EXPECTED = "train/wav.scp, resource/lexicon.txt and WAVE/"


def read_tabs(path: Path) -> dict[str, str]:
    """A table of the corpus: key and value, with a tab between them. Raises: DataError for a key that comes twice."""
    found: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), start=1):
        key, *value = line.split(maxsplit=1) or [""]
        if not value:
            raise DataError(f"{path}:{number}: '{line[:60]}' is not '<key> <value>'")
        if key in found:
            raise DataError(f"{path}:{number}: '{key}' stands in line {line_of[key]} already; keep one of them")
        found[key], line_of[key] = value[0].strip(), number
    return found


def read_halves(corpus: Path, halves: list[str], name: str) -> dict[str, str]:
    """A table of one half or of both. Raises: DataError for a key that both have, but as the same speaker's."""
    found: dict[str, str] = {}
    for half in halves:
        rows = read_tabs(corpus / half / name)
        for key in found.keys() & rows.keys():
            if found[key] != rows[key] or not name.startswith("spk2"):
                raise DataError(f"{corpus / half / name}: '{key}' stands in the other half too; keep one of them")
        found |= rows
    return found


def split_speakers(speakers: list[str]) -> dict[str, str]:
    """The set of each speaker."""
    ordered = sorted(speakers)
    test = set(ordered[::5])
    rest = [speaker for speaker in ordered if speaker not in test]
    dev = set(rest[::10])
    return {s: "test" if s in test else "dev" if s in dev else "train" for s in ordered}


def age_group(years: str) -> str:
    """Child or adult. Raises: DataError when that is no age."""
    if not years.isdecimal():
        raise DataError(f"spk2age: '{years}' is no age in years")
    return "adult" if int(years) >= ADULT_YEARS else "child"


def without_stress(phones: str) -> tuple[str, ...]:
    """ARPAbet phones as 39 classes: `AH0_I` is AH."""
    return tuple(phone.partition("_")[0].rstrip("012") for phone in phones.split())


def make_lexicon(lexicon_file: Path, chosen_file: Path, texts: dict[str, str]) -> Lexicon:
    """Each word's variants, the one that the corpus chooses most often first."""
    counts: dict[str, Counter] = defaultdict(Counter)
    if chosen_file.is_file():
        for key, phones in read_tabs(chosen_file).items():
            utt_id, _, index = key.rpartition(".")
            if not index.isdecimal():
                raise DataError(f"{chosen_file}: '{key}' is not '<utterance>.<number of the word>'")
            words = texts.get(utt_id, "").split()
            if int(index) < len(words):
                counts[words[int(index)]][without_stress(phones)] += 1
    variants: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for number, line in enumerate(read_lines(lexicon_file), start=1):
        word, *phones = line.split(maxsplit=1) or [""]
        if not phones:
            raise DataError(f"{lexicon_file}:{number}: '{line}' is not '<word> <phones>'")
        if without_stress(phones[0]) not in variants[word]:
            variants[word].append(without_stress(phones[0]))
    return {word: sorted(found, key=lambda phones: -counts[word][phones]) for word, found in variants.items()}


def make_sets(corpus: Path, halves: list[str]) -> dict[str, list[CorpusUtterance]]:
    """The utterances of each set."""
    tables = {name: read_halves(corpus, halves, name) for name in TABLES}

    def look_up(name: str, key: str) -> str:
        if key not in tables[name]:
            raise DataError(f"{corpus}: {name} of {' and '.join(halves)} says nothing about '{key}'")
        return tables[name][key]

    for name in ("text", "utt2spk"):
        if missing := sorted(tables[name].keys() - tables["wav.scp"].keys()):
            like = f" ({len(missing)} are like this)" if len(missing) > 1 else ""
            raise DataError(f"{corpus}: wav.scp of {' and '.join(halves)} says nothing about '{missing[0]}'{like}")
    set_of = split_speakers(list(set(tables["utt2spk"].values())))
    sets: dict[str, list[CorpusUtterance]] = {"train": [], "dev": [], "test": []}
    for utt_id, path in tables["wav.scp"].items():
        speaker = look_up("utt2spk", utt_id)
        known = {"gender": look_up("spk2gender", speaker), "age_group": age_group(look_up("spk2age", speaker))}
        place, text = (corpus / path).resolve(), look_up("text", utt_id)
        sets[set_of[speaker]].append(CorpusUtterance(f"{speaker}-{utt_id}", speaker, place, text, known))
    return sets


def check(settings: dict) -> dict:
    """The [corpus] table. Raises: UsageError for an unknown setting or a wrong value."""
    if settings.keys() != DEFAULTS.keys():
        raise UsageError(f"[corpus] has the settings {', '.join(DEFAULTS)}, not {', '.join(sorted(settings))}")
    halves = check_type(settings["halves"], list[str], "corpus.halves")
    if not halves or not set(halves) <= set(HALVES):
        raise UsageError(f"corpus.halves = {halves}: choose some of {', '.join(HALVES)}")
    if not isinstance(settings["channels"], dict):
        raise UsageError("[corpus.channels] is not a table of names and channels")
    for name, channel in settings["channels"].items():
        check_name(name, "[corpus.channels]")
        check_type(channel, str, f"corpus.channels.{name}")
    return {**settings, "speeds": speeds(check_type(settings["speeds"], list[str], "corpus.speeds"))}


def main(argv: list[str]) -> None:
    """Prepares the corpus."""
    args = corpus_parser(__doc__).parse_args(argv)
    settings = check({**DEFAULTS, **load(args.config, args.set).corpus})
    corpus = find_corpus(args.corpus_dir, lambda folder: (folder / "train" / "wav.scp").is_file(), EXPECTED)
    lexicon = corpus / "resource" / "lexicon.txt"
    chosen = corpus / "resource" / "text-phone"
    tables = [corpus / half / name for half in settings["halves"] for name in TABLES]
    files = [*tables, lexicon, *([chosen] if chosen.is_file() else [])]

    def build(stage: Path, final: Path) -> dict[str, list[CorpusUtterance]]:
        texts = read_halves(corpus, settings["halves"], "text")
        (stage / "local" / "dict").mkdir(parents=True)
        (stage / "local" / "dict" / "lexicon.txt").write_text(to_text(make_lexicon(lexicon, chosen, texts)))
        return make_sets(corpus, settings["halves"])

    channels = settings["channels"].items()
    heard = {f"{name}_{kind}": (name, [channel]) for kind, channel in channels for name in ("train", "dev", "test")}
    prepare(args, files, build, {"halves": settings["halves"]}, {"train": settings["speeds"]}, heard)


if __name__ == "__main__":
    run(main)
