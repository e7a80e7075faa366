"""Types of settings that say their range. Encoders and losses use them, or `Literal`, for their own settings.

>>> check(3, PositiveInt, "student.train.updates")
3
"""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from utils.jobs.errors import UsageError


@dataclass(frozen=True)
class Range:
    """The values that are allowed, in words and as a test."""

    text: str
    holds: Callable[[Any], bool]


PositiveInt = Annotated[int, Range("must be at least 1", lambda x: x >= 1)]
NaturalInt = Annotated[int, Range("must be at least 0", lambda x: x >= 0)]
PositiveFloat = Annotated[float, Range("must be above 0", lambda x: x > 0)]
NaturalFloat = Annotated[float, Range("must be at least 0", lambda x: x >= 0)]
Share = Annotated[float, Range("must be from 0 to 1", lambda x: 0 <= x <= 1)]
BeamSize = Annotated[int, Range("must be from 1 to 1000000", lambda x: 1 <= x <= 1_000_000)]
VocabSize = Annotated[int, Range("must be from 3 to 65536", lambda x: 3 <= x <= 65536)]
Coverage = Annotated[float, Range("must be from 0.98 to 1", lambda x: 0.98 <= x <= 1)]
Fraction = Annotated[float, Range("must be at least 0 and below 1", lambda x: 0 <= x < 1)]

Names = str | list[str]  # a name or several

BY_NAME = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list[str]": list[str],
    "list[int]": list[int],
    "PositiveInt": PositiveInt,
    "NaturalInt": NaturalInt,
    "PositiveFloat": PositiveFloat,
    "NaturalFloat": NaturalFloat,
    "Share": Share,
    "Fraction": Fraction,
}


def check(value: object, kind: Any, where: str) -> object:
    """The value, an integer made a float where one is due.

    Raises: UsageError for another type, or a value out of range, naming `where`.
    """
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if value not in choices or type(value) is not type(choices[0]):
            raise UsageError(f"{where} = {value!r}: choose one of {', '.join(map(str, choices))}")
        return value
    if kind == Names:
        kind = list[str] if isinstance(value, list) else str
        if value == []:
            raise UsageError(f"{where} = []: name at least one")
    base, *ranges = get_args(kind) if get_origin(kind) is Annotated else [kind]
    if base is float and type(value) is int:
        value = float(value)
    if get_origin(base) is list:
        (item_type,) = get_args(base)
        is_right = isinstance(value, list) and all(type(item) is item_type for item in value)
    else:
        is_right = type(value) is base
    if not is_right:
        name = str(base) if get_origin(base) is list else base.__name__
        raise UsageError(f"{where} = {value!r}: not of type {name}")
    if base is float and not math.isfinite(value):
        raise UsageError(f"{where} = {value}: must be finite")
    for allowed in ranges:
        if not allowed.holds(value):
            raise UsageError(f"{where} = {value}: {allowed.text}")
    return value


def check_name(name: str, where: str) -> None:
    """Raises UsageError for a name that cannot be part of the names of files and weights."""
    if not re.fullmatch(r"[\w-]+", name):
        raise UsageError(
            f"{where}: the name {name!r} has characters that file names lack; use letters, digits, _ and -"
        )


def near(word: str, valid: object) -> str:
    """A list of the valid names for a message, the nearest first."""
    best = difflib.get_close_matches(str(word), list(valid), n=1)
    ordered = best + sorted(set(valid) - set(best))
    return f"; valid: {', '.join(ordered)}"
