"""Values of tables: numbers, factors of speed, places in recordings."""

import math
import re

DECIMAL = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
MIN_SPEED, MAX_SPEED = 0.1, 10.0
SPEED_RANGE = f"a factor from {MIN_SPEED:g} to {MAX_SPEED:g}"


def to_number(text: str, zero: bool = False) -> float | None:
    """A finite number above 0, or at least 0, in plain decimal digits; None for anything else."""
    value = float(text) if DECIMAL.fullmatch(text) else -1.0
    return value if (0 <= value if zero else 0 < value) and math.isfinite(value) else None


def to_speed(text: str) -> float | None:
    """A factor of utt2speed; None for anything else."""
    value = to_number(text)
    return value if value is not None and MIN_SPEED <= value <= MAX_SPEED else None


def to_segment(value: str) -> tuple[str, float, float] | None:
    """The parts of `<recording> <start s> <end s>`; None for anything else."""
    fields = value.split(" ")
    times = [to_number(text, zero=True) for text in fields[1:]]
    if len(fields) != 3 or None in times or times[0] >= times[1]:
        return None
    return fields[0], times[0], times[1]
