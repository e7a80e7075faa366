"""What the validator says of the directories in `directories.py`, and whether what it proposes helps."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.faults.directories import FAULTS, write_odd_rate, write_valid
from tests.support import command
from utils.data_dir import validate
from utils.data_dir.tables import read_table
from utils.data_dir.validate import CHECKS, find_faults

CURABLE = [name for name, fault in FAULTS.items() if fault.options is not None]


def faults_of(folder: Path, **more: object) -> list[str]:
    """The messages."""
    return [str(fault) for fault in find_faults(folder, has_text=True, **more)]


def is_told(folder: Path, name: str) -> bool:
    """Whether a fault, made in the valid directory, is told with its place."""
    FAULTS[name].change(folder)
    found = faults_of(folder)
    return any(FAULTS[name].said in text for text in found) and all(text.startswith(str(folder)) for text in found)


def cure(folder: Path, name: str) -> str:
    """Makes a fault, and runs the command that is proposed; returns what is wrong then, or nothing."""
    FAULTS[name].change(folder)
    proposed = [re.search(r"python3 -m utils\.(\S+) (.*)$", text) for text in faults_of(folder)]
    if not any(proposed):
        return "no command is proposed"
    module, arguments = next(match for match in proposed if match).groups()
    if module != "fix_data_dir" or tuple(shlex.split(arguments)[:-1]) != FAULTS[name].options:
        return f"proposed: {module} {arguments}"
    result = command(f"utils.{module}", *shlex.split(arguments), cwd=folder)
    if result.returncode:
        return result.stderr
    kept = len(read_table(folder / "utt2spk"))
    if kept != FAULTS[name].kept or result.stderr.count("dropped '") < (1 if kept < 4 else 0):
        return f"{kept} utterances are left: {result.stderr}"
    return "; ".join(faults_of(folder))


def cases_for(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Each fault's name, its directory, and what is said of it; those that need another base too."""
    for number, (name, fault) in enumerate(FAULTS.items()):
        changed = write_valid(folder / f"{number}" / "train")
        fault.change(changed)
        yield name, changed, fault.said
    yield "another rate", write_odd_rate(folder / "rate"), "most others 8000 Hz"


def unnoticed_checks(folder: Path) -> list[str]:
    """The checks that can be taken out of the validator without any case noticing it."""
    cases, missed = list(cases_for(folder)), []
    try:
        for check in CHECKS:
            validate.CHECKS = tuple(other for other in CHECKS if other is not check)
            if all(any(said in text for text in faults_of(changed)) for _, changed, said in cases):
                missed.append(check.__name__)
    finally:
        validate.CHECKS = CHECKS
    return missed
