"""A data directory and a list of its parts -> a data directory of these parts.

    python3 -m utils.resegment_data_dir --text text_of_parts data/long parts data/short

Each line of the list is `<new id> <utterance> <start s> <end s>`, in seconds from the utterance's start. Speakers are
kept; transcripts belong to whole utterances, so that those of the parts must be given, or are left out.
"""

from pathlib import Path

from utils.data_dir.checked import is_segment
from utils.data_dir.data_dir import SPK_TABLES, DataDir
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError


def seconds(value: float) -> str:
    """A time to the microsecond, without zeros at the end."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def resegment(source: DataDir, parts: dict[str, str], place: Path) -> DataDir:
    """The parts as utterances. Raises: DataError for a part that is malformed, unknown, or outside its utterance."""
    utterances = {u.utt_id: u for u in source.utterances()}
    tables: dict[str, dict[str, str]] = {"segments": {}, "utt2spk": {}}
    for new_id, value in parts.items():
        if not is_segment(value):
            raise DataError(f"{place}: '{new_id} {value}' is not '<new id> <utterance> <start s> <end s>'")
        utt_id, start_s, end_s = value.split(" ")
        old = utterances.get(utt_id)
        if old is None:
            raise DataError(f"{place}: '{new_id}': no utterance '{utt_id}' in {source.path}")
        if old.speed != 1:
            raise DataError(
                f"{place}: '{new_id}': utterance '{utt_id}' is perturbed in speed; resegment it before that"
            )
        start, end = old.start_s + float(start_s), old.start_s + float(end_s)
        if old.end_s is not None and end > old.end_s + 0.005:
            raise DataError(
                f"{place}: '{new_id}' ends at {end_s} s, utterance '{utt_id}' at {old.end_s - old.start_s:g} s"
            )
        tables["segments"][new_id] = f"{old.rec_id} {seconds(start)} {seconds(end)}"
        tables["utt2spk"][new_id] = source.utt2spk[utt_id]
    kept = {name: source.tables[name] for name in ("wav.scp", *SPK_TABLES) if name in source.tables}
    return DataDir(source.path, kept | tables).select(set(tables["segments"]))


def main(argv: list[str]) -> None:
    """Writes the parts of a data directory as one of their own."""
    parser = Parser(__doc__)
    parser.add_argument("--text", type=Path, help="the transcripts of the parts")
    parser.add_argument("source", type=Path)
    parser.add_argument("parts", type=Path, help="the list")
    parser.add_argument("target", type=Path)
    args = parser.parse_args(argv)
    if args.source.resolve() == args.target.resolve():
        raise UsageError("source and target are the same folder")
    source = DataDir.read(args.source)
    part = resegment(source, read_table(args.parts), args.parts)
    if args.text:
        text = read_table(args.text, has_value=False)
        missing = sorted(part.tables["segments"].keys() ^ text.keys())
        if missing:
            raise DataError(
                f"{args.text}: does not agree with {args.parts} about '{missing[0]}' and {len(missing) - 1} more"
            )
        part.tables["text"] = text
    part.write(args.target)
    log.info(f"{args.target}: {len(part.utt_ids):,} utterances from {len(source.utt_ids):,}")


if __name__ == "__main__":
    run(main)
