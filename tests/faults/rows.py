"""The lines of the battery's table."""

import sys
from dataclasses import dataclass

from tests.support import to_table

HEAD = ("what", "trials", "as required", "control: a broken build", "")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What was tried.
        trials: How often.
        passed: How often it went as required.
        control: What the same trials found in a build that is broken on purpose.
        note: What a reader must know.
    """

    name: str
    trials: int
    passed: int
    control: str = ""
    note: str = ""


def row(name: str, problems: list[str], control: str = "", note: str = "") -> Row:
    """The line of trials, each with what was wrong, or nothing. Prints what was wrong."""
    for problem in filter(None, problems):
        print(f"{name}: {problem}", file=sys.stderr, flush=True)
    return Row(name, len(problems), problems.count(""), control, note)


def noticed(problems: list[str]) -> str:
    """A control's cell."""
    return f"fails in {len(problems) - problems.count('')} of {len(problems)}"


def merged(rows: list[Row]) -> list[Row]:
    """Rows of one name as one."""
    found: dict[str, Row] = {}
    for one in rows:
        other = found.get(one.name, Row(one.name, 0, 0))
        trials, passed = other.trials + one.trials, other.passed + one.passed
        found[one.name] = Row(one.name, trials, passed, other.control or one.control, other.note or one.note)
    return list(found.values())


def to_markdown(rows: list[Row]) -> str:
    """The table."""
    return to_table([HEAD, *((r.name, f"{r.trials:,}", f"{r.passed:,}", r.control, r.note) for r in rows)])
