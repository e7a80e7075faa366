"""What adapters of single speakers give: the sets of tests/bench/adaptation.sh, and its table.

python3 -m bench.adaptation split --utts 10 data/test exp/adaptation/data
python3 -m bench.adaptation table --config conf.toml --base teacher --utts 10 --out ADAPTATION.md exp/adaptation
"""

import argparse
from pathlib import Path

import numpy as np

from bench.rows import show
from steps.scoring.collect import read_json
from steps.scoring.intervals import draws, of_speakers
from steps.scoring.table import number
from tests.support import to_table
from utils.data_dir.data_dir import FEATS_TABLES, DataDir

HEAD = ("speaker", "base %", "adapted %", "change", "kilobytes")
EXPLANATION = """# Adapters for single speakers

Adapters (LoRA) for each test speaker, trained on {utts} of its utterances and their transcripts, against the base model
they stand beside, on the speaker's other utterances. The base is `{base}` of `{config}`, {base_kb:,.0f} KB. The last
line holds all speakers, its change with a 95 % interval over them.
"""


def without_feats(data: DataDir) -> DataDir:
    """The same directory before its features were made."""
    data.tables = {name: rows for name, rows in data.tables.items() if name not in FEATS_TABLES}
    return data


def split(source: Path, out: Path, utts: int) -> list[str]:
    """Writes `adapt_<speaker>` and `eval_<speaker>` of each speaker who has more utterances, and a link to dev."""
    data = without_feats(DataDir.read(source))
    by_speaker: dict[str, list[str]] = {}
    for utt_id, speaker in data.utt2spk.items():
        by_speaker.setdefault(speaker, []).append(utt_id)
    speakers = [speaker for speaker, utt_ids in by_speaker.items() if len(utt_ids) > utts]
    for speaker in speakers:
        for name, utt_ids in (("adapt", by_speaker[speaker][:utts]), ("eval", by_speaker[speaker][utts:])):
            folder = out / f"{name}_{speaker}"
            folder.mkdir(parents=True, exist_ok=True)
            part = data.select(set(utt_ids))
            if not (folder / "wav.scp").is_file() or without_feats(DataDir.read(folder)).tables != part.tables:
                part.write(folder)
    if not (out / "dev").is_symlink():
        (out / "dev").symlink_to((source.parent / "dev").resolve())
    (out / "speakers").write_text("".join(f"{speaker}\n" for speaker in speakers))
    return speakers


def counts(folder: Path, speaker: str) -> tuple[int, int]:
    """(errors, units) of a model on a speaker's other utterances."""
    found = read_json(folder / f"decode_eval_{speaker}" / "score.json")
    return found["ins"] + found["del"] + found["sub"], found["ref_units"]


def kilobytes(folder: Path) -> float:
    """Of the files of a model folder that are needed to use it."""
    return sum((folder / name).stat().st_size for name in ("model.safetensors", "config.json", "tokens.txt")) / 1000


def rows(exp_dir: Path, system: str, speakers: list[str]) -> list[tuple[str, ...]]:
    """A line for each speaker, and one for all."""
    folders = {name: exp_dir / name / system / "seed0" for name in ("base", *speakers)}
    base = np.array([counts(folders["base"], speaker) for speaker in speakers])
    adapted = np.array([counts(folders[speaker], speaker) for speaker in speakers])
    table = []
    for speaker, before, after in zip(speakers, base, adapted, strict=True):
        rates = [100 * errors / units for errors, units in (before, after)]
        size = f"{kilobytes(folders[speaker]):,.0f}"
        table.append((speaker, *map(number, rates), f"{rates[1] - rates[0]:+.2f}", size))
    rates = [100 * found[:, 0].sum() / found[:, 1].sum() for found in (base, adapted)]
    drawn = draws(len(speakers))  # (R, S)
    change = 100 * (drawn @ (adapted[:, 0] - base[:, 0])) / (drawn @ base[:, 1])
    low, high = of_speakers(change, len(speakers)).interval(rates[1] - rates[0])
    told = f"{rates[1] - rates[0]:+.2f} [{low:+.2f}, {high:+.2f}]"
    return [*table, ("all", *map(number, rates), told, "")]


def main() -> None:
    """Splits, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("split", "table"))
    parser.add_argument("--config", default="conf.toml")
    parser.add_argument("--base", default="teacher")
    parser.add_argument("--utts", type=int, default=10)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()
    if args.what == "split":
        split(*args.folders, args.utts)
        return
    (exp_dir,) = args.folders
    speakers = (exp_dir / "data/speakers").read_text().split()
    base_kb = kilobytes(exp_dir / "base" / args.base / "seed0")
    config = f"egs/{Path.cwd().name}/{args.config}"
    head = EXPLANATION.format(config=config, base=args.base, utts=args.utts, base_kb=base_kb)
    show(f"{head}\n{to_table([HEAD, *rows(exp_dir, args.base, speakers)])}\n", args.out)


if __name__ == "__main__":
    main()
