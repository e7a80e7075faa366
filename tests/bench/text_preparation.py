"""The text of LibriSpeech-960 prepared, on a tree of that size with empty audio: memory, time, and audio opened."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from bench.rows import Goal, Row, time_row
from bench.speech import ROOT

SIZES = {"train-clean-100": 28539, "train-clean-360": 104014, "train-other-500": 148688}  # utterances
UTTS_PER_CHAPTER, CHAPTERS_PER_SPEAKER, WORDS_PER_UTT = 52, 2, 34
WORDS = "A OF THE AND THAT WAS HIS THROUGH LITTLE NOTHING MOUNTAIN SOMETHING".split()
LIMIT_MB = 500
CONF = f"""
[data]
test = []
[corpus.sets]
train = [{", ".join(f'"{part} 1,2,3,4,5,6,7,8,9/10"' for part in SIZES)}]
dev = [{", ".join(f'"{part} 10/10"' for part in SIZES)}]
[teacher.model]
encoder = "lstm"
"""
# Runs a script, and prints its peak memory in kB and how many audio files it opened.
WATCHED = """
import runpy, sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and str(args[0]).endswith(".flac") and opened.append(args[0]))
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(peak.split()[1], len(opened), "soundfile" in sys.modules)
"""


def write_tree(root: Path) -> None:
    """The parts, with speakers and chapters of a usual size."""
    generator, speaker = random.Random(0), 1000
    for part, left in SIZES.items():
        while left:
            speaker += 1
            for chapter in range(CHAPTERS_PER_SPEAKER):
                size = min(UTTS_PER_CHAPTER, left)
                left -= size
                write_chapter(root / part / f"{speaker}" / f"{chapter}", size, generator)


def write_chapter(folder: Path, size: int, generator: random.Random) -> None:
    """Empty audio, and a transcript."""
    folder.mkdir(parents=True)
    name, lines = f"{folder.parent.name}-{folder.name}", []
    for number in range(size):
        (folder / f"{name}-{number:04}.flac").touch()
        lines.append(f"{name}-{number:04} {' '.join(generator.choices(WORDS, k=WORDS_PER_UTT))}\n")
    (folder / f"{name}.trans.txt").write_text("".join(lines))


def prepare(corpus: Path, folder: Path) -> tuple[float, int, float]:
    """(peak MB, audio files opened, seconds) of the recipe's own script."""
    (folder / "conf.toml").write_text(CONF)
    script = ROOT / "egs" / "librispeech" / "local" / "prepare_data.py"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    command = [sys.executable, "-c", WATCHED, str(script), "--corpus-dir", str(corpus)]
    done = subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    peak_kb, opened, has_decoder = done.stdout.split()
    if has_decoder == "True":
        raise RuntimeError("the decoder of audio was loaded, which opens files unseen")
    return int(peak_kb) / 1000, int(opened), seconds


def bare_loop(corpus: Path, out: Path) -> float:
    """Seconds to read all transcripts and write three tables, unchecked and unsorted."""
    started = time.perf_counter()
    with open(out / "text", "w") as text, open(out / "wav.scp", "w") as wav, open(out / "utt2spk", "w") as speakers:
        for folder, _, files in os.walk(corpus):
            for name in files:
                if name.endswith(".trans.txt"):
                    for line in open(f"{folder}/{name}"):
                        utt_id = line.partition(" ")[0]
                        text.write(line)
                        wav.write(f"{utt_id} {folder}/{utt_id}.flac\n")
                        speakers.write(f"{utt_id} {utt_id.partition('-')[0]}\n")
    return time.perf_counter() - started


def rows(folder: Path) -> list[Row]:
    """A row each for memory, opened audio and time."""
    corpus, name = folder / "LibriSpeech", f"text preparation, {sum(SIZES.values()):,} utterances"
    write_tree(corpus)
    (folder / "bare").mkdir()
    bare_s = bare_loop(corpus, folder / "bare")
    peak_mb, opened, seconds = prepare(corpus, folder)
    return [
        Row(f"{name}: peak memory", peak_mb, LIMIT_MB, peak_mb / LIMIT_MB, Goal(at_most=1.0), "MB"),
        Row(f"{name}: audio files opened", opened, 1, opened, Goal(at_most=0.0), "files"),
        time_row(name, seconds, bare_s, Goal()),
    ]
