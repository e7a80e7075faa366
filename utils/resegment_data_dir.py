"""A data directory and a list of its parts -> a data directory of these parts.

    python3 -m utils.resegment_data_dir --text text_of_parts data/long parts data/short

Each line of the list is `<new id> <utterance> <start s> <end s>`, in seconds from the utterance's start. Speakers and
channels are kept, and a new id begins with its speaker; transcripts belong to whole utterances, so that those of the
parts must be given, or are left out.
"""

from pathlib import Path

from utils.data_dir.audio import TOLERANCE_S, audio_info
from utils.data_dir.data_dir import DataDir, Utterance, is_of_speakers, warn_of_files_left
from utils.data_dir.tables import Table, read_table
from utils.data_dir.values import to_segment
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError


def seconds(value: float) -> str:
    """A time to the microsecond, without zeros at the end."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def place_of(part: str, utterances: dict[str, Utterance], ends_s: dict[str, float]) -> tuple[str, str]:
    """(utterance, value of segments) of a part `<utterance> <start s> <end s>`.

    Args:
        part: The part.
        utterances: Those that it may lie in.
        ends_s: Where recordings end that were looked at already, by path.

    Raises: DataError for a part that is malformed, unknown, or outside its utterance.
    """
    times = to_segment(part)
    if times is None:
        raise DataError(f"'{part}' is not '<utterance> <start s> <end s>'")
    utt_id, start_s, end_s = times
    old = utterances.get(utt_id)
    if old is None:
        raise DataError(f"no utterance '{utt_id}' in the directory")
    if old.speed != 1:
        raise DataError(f"utterance '{utt_id}' is perturbed in speed; resegment it before that")
    last_s = old.end_s
    if last_s is None:
        if old.path not in ends_s:
            ends_s[old.path] = audio_info(old.path, old.rec_id).duration_s
        last_s = ends_s[old.path]
    if old.start_s + end_s > last_s + TOLERANCE_S:
        raise DataError(f"ends at {end_s:g} s, utterance '{utt_id}' at {last_s - old.start_s:g} s")
    value = f"{old.rec_id} {seconds(old.start_s + start_s)} {seconds(min(old.start_s + end_s, last_s))}"
    if to_segment(value) is None:
        raise DataError(f"'{part}' holds less than a microsecond of its utterance")
    return utt_id, value


def resegment(source: DataDir, parts: Table, file: Path) -> DataDir:
    """The parts as utterances. Raises: DataError for a part that cannot be, with its line in `file`."""
    utterances = {u.utt_id: u for u in source.utterances()}
    tables: dict[str, dict[str, str]] = {"segments": {}, "utt2spk": {}}
    ends_s: dict[str, float] = {}
    for new_id, part in parts.items():
        try:
            utt_id, tables["segments"][new_id] = place_of(part, utterances, ends_s)
            speaker = source.utt2spk[utt_id]
            if not new_id.startswith(speaker):
                raise DataError(f"the id does not begin with the speaker '{speaker}' of utterance '{utt_id}'")
        except DataError as e:
            raise DataError(f"{file}:{parts.line_of[new_id]}: '{new_id}': {e}") from None
        tables["utt2spk"][new_id] = speaker
        if channel := source.tables.get("utt2channel", {}).get(utt_id):
            tables.setdefault("utt2channel", {})[new_id] = channel
    kept = {name: rows for name, rows in source.tables.items() if name == "wav.scp" or is_of_speakers(name)}
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
    warn_of_files_left(args.source)
    parts = read_table(args.parts)
    if not parts:
        raise DataError(f"{args.parts}: empty; write a line `<new id> <utterance> <start s> <end s>` for each part")
    part = resegment(source, parts, args.parts)
    if args.text:
        text = read_table(args.text, has_value=False)
        missing = sorted(part.tables["segments"].keys() ^ text.keys())
        if missing:
            raise DataError(
                f"{args.text}: does not agree with {args.parts} about '{missing[0]}' and {len(missing) - 1} more"
            )
        part.tables["text"] = text
    if left := sorted(source.tables.keys() - part.tables.keys()):
        log.info(f"{args.source}: left out, because they tell of whole utterances: {', '.join(left)}")
    part.write(args.target)
    log.info(f"{args.target}: {len(part.utt_ids):,} utterances from {len(source.utt_ids):,}")


if __name__ == "__main__":
    run(main)
