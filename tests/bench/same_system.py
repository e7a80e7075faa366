"""How often equal systems are called different: runs of one system, compared with each other as twins are.

    python3 -m bench.same_system --out SAME_SYSTEM.md exp/student_plain test

Takes two groups of seeds without a common one, again and again, and compares them as steps.compare does.
"""

import argparse
import random
from dataclasses import replace
from pathlib import Path

from bench.rows import show
from steps.scoring.collect import read_json, read_scores
from steps.scoring.comparison import SystemScores, compare, gather
from tests.support import to_table

NUM_COMPARISONS = 400
HEAD = ("seeds a side", "comparisons", "called better", "share % [95 %]", "called worse", "goal", "")
LIMIT = 0.05
EXPLANATION = """# Equal systems

{runs} runs of `{system}` that differ in their seed alone, scored on {set}. Two groups of them without a common seed are
drawn at random and compared as a distilled system is with its twin: none is better, so each "better" is wrong. The
groups overlap from draw to draw; the interval is that of as many independent draws.
"""


def group(scores: SystemScores, chosen: list[int]) -> SystemScores:
    """Some of the runs, as if their seeds were 0, 1, ..."""
    return replace(scores, seeds=list(range(len(chosen))), errors=scores.errors[chosen])


def draws(count: int, size: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
    """NUM_COMPARISONS pairs of groups of `size` out of `count` runs, of which no two are equal."""
    generator, found = random.Random(seed), {}
    while len(found) < NUM_COMPARISONS:
        chosen = generator.sample(range(count), 2 * size)
        found.setdefault((frozenset(chosen[:size]), frozenset(chosen[size:])), (chosen[:size], chosen[size:]))
    return list(found.values())


def row(scores: SystemScores, size: int) -> tuple[str, ...]:
    """A line of the table: groups of one size."""
    from scipy.stats import binomtest

    pairs = [(group(scores, a), group(scores, b)) for a, b in draws(len(scores.seeds), size)]
    better = sum(compare(teacher=a, twin=a, distilled=b)["better"] for a, b in pairs)
    worse = sum(compare(teacher=b, twin=b, distilled=a)["better"] for a, b in pairs)
    low, high = binomtest(better, len(pairs)).proportion_ci()
    share = f"{100 * better / len(pairs):.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    verdict = "met" if low <= LIMIT else "missed"
    return (str(size), str(len(pairs)), str(better), share, str(worse), f"<= {100 * LIMIT:.0f} %", verdict)


def main() -> None:
    """Prints the table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5], help="seeds in a group")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("system", type=Path, help="the folder with its seeds")
    parser.add_argument("set")
    args = parser.parse_args()
    seeds = sorted(int(path.name.removeprefix("seed")) for path in args.system.glob("seed*"))
    scores = gather(read_scores([args.system.parent], args.system.name, seeds, args.set))
    rates = scores.by_seed
    updates = read_json(args.system / f"seed{seeds[0]}" / "config.json")["train"]["train"]["updates"]
    spread = f"{rates.mean():.2f} % error, sd {rates.std(ddof=1):.2f}; {updates:,} updates"
    head = EXPLANATION.format(runs=len(seeds), system=args.system.name, set=args.set)
    table = to_table([HEAD, *(row(scores, size) for size in args.sizes)])
    text = f"{head}\n{table}\n\n{spread}, {scores.num_speakers} speakers\n"
    show(text, args.out)


if __name__ == "__main__":
    main()
