"""A line of the table, and the stopwatch that fills it.

>>> Row("sleep", 2.0, 1.0, 2.0, Goal(at_most=1.5), "s").is_met
False
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """The bound of a ratio; one of the two, or none where a row only informs."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:.2f}"
        return "" if self.at_most is None else f"<= {self.at_most:.2f}"


@dataclass(frozen=True)
class Row:
    """One measurement: what Retort takes, and where there is something to compare, what that takes, and their ratio."""

    name: str
    ours: float
    reference: float | None
    ratio: float | None
    goal: Goal
    unit: str

    @property
    def is_met(self) -> bool | None:
        """Whether the ratio keeps the goal; None where there is none."""
        if self.goal.at_least is not None:
            return self.ratio >= self.goal.at_least
        return None if self.goal.at_most is None else self.ratio <= self.goal.at_most


def speed_row(name: str, amount: float, ours_s: float, reference_s: float, goal: Goal, unit: str) -> Row:
    """A row of speeds: `amount` of work in either time."""
    return Row(name, amount / ours_s, amount / reference_s, reference_s / ours_s, goal, unit)


def time_row(name: str, ours_s: float, reference_s: float, goal: Goal, unit: str = "s") -> Row:
    """A row of times."""
    return Row(name, ours_s, reference_s, ours_s / reference_s, goal, unit)


def race(runners: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """The median seconds of each runner. They take turns, so that a busy moment hits all; the first round is unpaid."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(repetitions + 1):
        for name, runner in runners.items():
            started = time.perf_counter()
            runner()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def show(text: str, out: Path | None) -> None:
    """Prints a table, and writes it where asked."""
    print(text, end="")
    if out:
        out.write_text(text, encoding="utf-8")
