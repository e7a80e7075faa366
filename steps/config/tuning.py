"""The settings that are tried on dev: combinations of the values in [<system>.tune].

[student.tune]                      # of the distilled system
points = 4                          # drawn from all combinations (Bergstra and Bengio 2012); without it, all
distill.0.weight = [0.3, 0.9]
distill.0.temperature = [1.0, 2.0, 4.0]

[student.tune_plain]                # of its twin, as many combinations
train.lr = [0.001, 0.002, 0.003, 0.005]
"""

import json
import random
import tomllib
from datetime import date, time
from itertools import product

from steps.config.schema import SystemConfig
from utils.jobs.errors import UsageError
from utils.jobs.job import flatten

Point = dict[str, str]  # dotted key below the system -> value as TOML spells it


def parse_values(option: str, text: str) -> tuple[str, object]:
    """The key and the values of an option of the form KEY=[VALUES]. Raises: UsageError for another form."""
    key, _, values = text.partition("=")
    try:
        return key.strip(), tomllib.loads(f"x = {values}")["x"]
    except tomllib.TOMLDecodeError:
        raise UsageError(f"{option} {text}: not of the form key=[value, value]") from None


def points_of(grid: dict, where: str) -> list[Point]:
    """The combinations of a grid, or as many of them as its `points` says, those of its last key next to each other.

    Raises: UsageError when a key has no list of different values, or there are fewer combinations than points.
    """
    flat = flatten(grid)
    count = flat.pop("points", None)
    for key, values in flat.items():
        if not isinstance(values, list) or not values:
            raise UsageError(f"[{where}] {key} = {values!r}: write a list of values to try")
        if any(isinstance(value, date | time) for value in values):
            raise UsageError(f"[{where}] {key} = {list(map(str, values))}: no setting is a time")
        if any(value in values[:i] for i, value in enumerate(values)):
            raise UsageError(f"[{where}] {key} = {values!r}: has a value twice")
    points = [
        {key: json.dumps(value, separators=(",", ":")) for key, value in zip(flat, chosen, strict=True)}
        for chosen in product(*flat.values())
    ]
    if count is None:
        return points
    if type(count) is not int or not 1 <= count <= len(points):
        raise UsageError(f"[{where}] points = {count!r}: write a number from 1 to {len(points)}, its combinations")
    return [points[i] for i in sorted(random.Random(0).sample(range(len(points)), count))]


def grids_of(system: SystemConfig) -> tuple[list[Point], list[Point]]:
    """(the points of a distilled system, the points of its twin).

    Raises: UsageError when there is nothing to tune, or the twin gets fewer tries: its budget must be equal.
    """
    if not system.distill or not system.tune:
        raise UsageError(f"[{system.name}] has no [[distill]], or no [{system.name}.tune] with lists of values to try")
    points = points_of(system.tune, f"{system.name}.tune")
    plain = points_of(system.tune_plain, f"{system.name}.tune_plain")
    if len(plain) != len(points):
        raise UsageError(
            f"[{system.name}.tune] has {len(points)} combinations and [{system.name}.tune_plain] {len(plain)}: "
            "the twin is tuned with an equal budget"
        )
    return points, plain


def name_of_point(point: Point) -> str:
    """A folder's name for a point, as `distill.0.weight=0.5,train.lr=0.001`."""
    return ",".join(f"{key}={value}" for key, value in point.items()).replace('"', "").replace("/", "_")


def to_overrides(system: str, point: Point) -> list[str]:
    """The point as --set options take it."""
    return [f"{system}.{key}={value}" for key, value in point.items()]
