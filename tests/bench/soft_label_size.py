"""exp/soft_label_size/top<k>.bits<b>/student/seed<n> -> a table: what soft labels of each size take, and give.

    python3 -m bench.soft_label_size --seeds "0 1 2" exp exp/soft_label_size/top*

Run by tests/bench/soft_label_size.sh.
"""

import argparse
from pathlib import Path

from bench.rows import show
from steps.compare import parse_seeds
from steps.scoring.collect import read_json, read_scores
from steps.scoring.comparison import SystemScores, describe, gather, paired
from steps.scoring.intervals import estimate
from steps.scoring.table import interval, number
from tests.support import to_table

HEAD = ("tokens kept", "bits", "bytes per second", "error % [95 %]", "gain over the twin", "loss of gain [95 %]")
EXPLANATION = """# Size of soft labels

The student of `{recipe}`, trained on soft labels that keep fewer tokens of each frame, or fewer bits of each; {count}
seeds. Error rates are those of test; the twin learns without a teacher and has {twin} %. The loss is against the
largest soft labels, seed by seed.
"""


def bytes_per_second(home: Path) -> float:
    """What the soft labels of the training set take."""
    return read_json(home / "teacher/seed0/soft_labels/train/frame_topk/manifest.json")["counts"]["bytes_per_second"]


def scores_of(home: Path, system: str, seeds: list[int]) -> SystemScores:
    """On test."""
    return gather(read_scores([home], system, seeds, "test"))


def rows(exp_dir: Path, homes: list[Path], seeds: list[int]) -> list[tuple[str, ...]]:
    """A line for each size, the largest first."""
    homes = sorted(homes, key=bytes_per_second, reverse=True)
    twin, largest = scores_of(exp_dir, "student_plain", seeds), scores_of(homes[0], "student", seeds)
    table = []
    for home in homes:
        layout = read_json(home / "teacher/seed0/soft_labels/train/frame_topk/soft_labels.json")
        found = scores_of(home, "student", seeds)
        by_seed, by_draw = paired(found, largest)
        loss = estimate(float(by_seed.mean()), by_seed, by_draw, found.num_speakers)
        figures = describe(found)
        gain = number(float(twin.by_seed.mean() - found.by_seed.mean()))
        lost = number(loss.value) + interval(loss.interval) if home != homes[0] else "–"
        error = number(figures["error_rate"]) + interval(figures["ci95"])
        table.append((str(layout["top_k"]), str(layout["bits"]), f"{bytes_per_second(home):,.0f}", error, gain, lost))
    return table


def main() -> None:
    """Prints the table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("exp_dir", type=Path)
    parser.add_argument("size_dirs", type=Path, nargs="+")
    args = parser.parse_args()
    seeds = parse_seeds(args.seeds)
    twin = number(float(scores_of(args.exp_dir, "student_plain", seeds).by_seed.mean()))
    head = EXPLANATION.format(recipe=f"egs/{Path.cwd().name}", count=len(seeds), twin=twin)
    text = f"{head}\n{to_table([HEAD, *rows(args.exp_dir, args.size_dirs, seeds)])}\n"
    show(text, args.out)


if __name__ == "__main__":
    main()
