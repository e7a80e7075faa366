"""Runs the benchmarks and prints their table.

python3 -m bench.table --only training scoring --out table.md
"""

import argparse
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench.rows import Row
from tests.support import to_table

PARTS = ("features", "training", "encoders", "soft_labels", "distilling", "decoding", "scoring")
PARTS += ("text_preparation", "startup")
TITLE = """# Benchmarks

Ratios within one run of `tests/bench/run.sh --out FILE`; absolute figures belong to the machine below.
"""
HEAD = ("what", "ours", "reference", "unit", "ratio", "goal", "")


def cells(row: Row) -> tuple[str, ...]:
    """A row as text."""
    verdict = {True: "met", False: "missed", None: ""}[row.is_met]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return (row.name, figure(row.ours), figure(row.reference), row.unit, ratio, str(row.goal), verdict)


def figure(x: float | None) -> str:
    """Three digits, or all before the point; nothing where there is none."""
    if x is None:
        return ""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def to_markdown(rows: list[Row]) -> str:
    """The table."""
    return to_table([HEAD, *map(cells, rows)])


def main() -> None:
    """Prints the table, and writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, default=None, help="write the table there too, as Markdown")
    args = parser.parse_args()
    rows: list[Row] = []
    for part in args.only:
        print(f"bench: {part}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows += importlib.import_module(f"bench.{part}").rows(Path(folder))
    import torch

    machine = f"{os.cpu_count()} cores of {platform.machine()}, one thread, torch {torch.__version__}"
    text = f"{to_markdown(rows)}\n{machine}\n"
    print(f"\n{text}", end="", flush=True)
    if args.out:
        args.out.write_text(f"{TITLE}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
