"""A data directory -> what is in it: hours, speakers, sample rates, lengths, characters.

python3 -m utils.describe_data_dir data/train
"""

import unicodedata
from collections import Counter
from pathlib import Path

from utils.data_dir.audio import audio_info
from utils.data_dir.data_dir import DataDir
from utils.jobs.cli import Parser, run

BOUNDS_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, float("inf"))
BAR = 40  # characters of the longest bar


def lengths_s(data: DataDir) -> tuple[dict[str, float], Counter]:
    """Seconds of each utterance, speed counted, and how many recordings have which sample rate."""
    infos = {rec_id: audio_info(file, rec_id) for rec_id, file in data.tables["wav.scp"].items()}
    found = {}
    for u in data.utterances():
        end_s = infos[u.rec_id].duration_s if u.end_s is None else u.end_s
        found[u.utt_id] = (end_s - u.start_s) / u.speed
    return found, Counter(info.sample_rate_hz for info in infos.values())


def histogram(values: list[float]) -> list[str]:
    """A line for each class of lengths that has members."""
    counts = Counter(max(i for i, bound in enumerate(BOUNDS_S) if value >= bound) for value in values)
    lines = []
    for i, count in sorted(counts.items()):
        upper = "     " if BOUNDS_S[i + 1] == float("inf") else f"{BOUNDS_S[i + 1]:5g}"
        bar = "#" * max(1, round(BAR * count / max(counts.values())))
        lines.append(f"  {BOUNDS_S[i]:5g} to {upper} s  {count:8,}  {bar}")
    return lines


def characters(texts: dict[str, str]) -> list[str]:
    """A line for each character of the transcripts, the most frequent first."""
    counts = Counter(c for text in texts.values() for c in text if c != " ")
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"  {c}  U+{ord(c):04X}  {count:8,}  {unicodedata.name(c, '').lower()}" for c, count in ordered]


def describe(data: DataDir) -> list[str]:
    """The lines of the description."""
    seconds, rates = lengths_s(data)
    speakers = Counter(data.utt2spk.values())
    values = sorted(seconds.values())
    lines = [f"{data.path}: {len(values):,} utterances, {sum(values) / 3600:.2f} h, {len(speakers):,} speakers"]
    lines.append("sample rates: " + ", ".join(f"{rate} Hz ({count:,})" for rate, count in rates.most_common()))
    lines.append(f"utterances a speaker: {min(speakers.values()):,} to {max(speakers.values()):,}")
    if channels := Counter(str(u.channel) for u in data.utterances() if "utt2channel" in data.tables):
        lines.append("channels: " + ", ".join(f"{channel} ({count:,})" for channel, count in channels.most_common()))
    middle = values[len(values) // 2]
    lines += [f"lengths: {values[0]:.2f} to {values[-1]:.2f} s, median {middle:.2f} s", *histogram(values)]
    if texts := data.tables.get("text"):
        words = [word for text in texts.values() for word in text.split()]
        empty = sum(not text for text in texts.values())
        lines.append(f"transcripts: {len(words):,} words, {len(set(words)):,} different, {empty:,} transcripts empty")
        lines += ["characters:", *characters(texts)]
    return lines


def main(argv: list[str]) -> None:
    """Prints the description of one data directory."""
    parser = Parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    print("\n".join(describe(DataDir.read(parser.parse_args(argv).data_dir))))


if __name__ == "__main__":
    run(main)
