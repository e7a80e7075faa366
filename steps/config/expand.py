"""What stands for more than it says: a configuration that includes another, a grid of systems, a system with a base.

[include]                            # this file's tables lie over those of another one
file = "conf.toml"
systems = ["teacher", "student"]     # of its systems only these

[grid]                               # systems called <student>_<method>
students = ["student", "conformer"]

[grid.methods.frame_kl]              # what differs from the student
distill = [{ loss = "frame_kl" }]
"""

import copy
from pathlib import Path

from steps.config.types import check, check_name, near
from utils.jobs.errors import UsageError

NOT_SYSTEMS = ("data", "features", "tokens", "decode", "score", "report", "corpus")
OWN_ALONE = ("controls", "tune", "tune_plain")  # which nobody inherits


def expand(raw: dict, path: Path, read: object) -> dict:
    """The tables of a configuration without [include] and [grid].

    Args:
        raw: The tables of the file.
        path: Of the file.
        read: Reads another file as tables.
    """
    if "include" in raw:
        raw = included(raw, path, read)
    return with_grid(raw, path) if "grid" in raw else raw


def included(raw: dict, path: Path, read: object) -> dict:
    """The tables of a file laid over those of the one that it includes. Raises: UsageError naming what is wrong."""
    table = table_of(raw, "include", path, ("file", "systems"))
    file = path.parent / check(table.get("file"), str, f"{path}: include.file")
    below = read(file)
    if "include" in below:
        raise UsageError(f"{path}: [include] file = '{table['file']}', which includes another itself; one level only")
    below = expand(below, file, read)
    systems = {name for name in below if name not in NOT_SYSTEMS}
    wanted = check(table.get("systems", []), list[str], f"{path}: include.systems")
    for name in wanted:
        if name not in systems:
            raise UsageError(f"{path}: include.systems: {table['file']} has no system '{name}'{near(name, systems)}")
    taken = {name: value for name, value in below.items() if name in NOT_SYSTEMS or name in wanted}
    return laid_over(taken, {name: value for name, value in raw.items() if name != "include"})


def laid_over(below: dict, above: dict) -> dict:
    """Tables merged key by key; what stands above is taken where both have a value.

    Heads, and a model with another encoder, are replaced whole.
    """
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = laid_over(merged[key], value) if both and not is_whole(key, value, merged) else value
    return merged


def with_grid(raw: dict, path: Path) -> dict:
    """The tables with a system for each student and method. Raises: UsageError naming what is wrong."""
    table = table_of(raw, "grid", path, ("students", "methods"))
    systems = {name: value for name, value in raw.items() if name != "grid"}
    methods = table.get("methods", {})
    if not isinstance(methods, dict):
        raise UsageError(f"{path}: [grid.methods] is not a table of methods")
    for student in check(table.get("students"), list[str], f"{path}: grid.students"):
        if student in NOT_SYSTEMS or student not in systems:
            valid = set(systems) - set(NOT_SYSTEMS)
            raise UsageError(f"{path}: grid.students: no system '{student}'{near(student, valid)}")
        for method, settings in methods.items():
            name = f"{student}_{method}"
            check_name(method, f"{path}: [grid.methods]")
            if not isinstance(settings, dict) or "base" in settings or name in systems:
                why = "is there already" if name in systems else "needs a table without a base"
                raise UsageError(f"{path}: [grid.methods.{method}]: [{name}] {why}")
            systems[name] = copy.deepcopy({"base": student, **settings})
    return systems


def table_of(raw: dict, name: str, path: Path, known: tuple[str, ...]) -> dict:
    """A table with these keys. Raises: UsageError for another one."""
    table = raw[name]
    if not isinstance(table, dict):
        raise UsageError(f"{path}: [{name}] is not a table")
    for key in table.keys() - set(known):
        raise UsageError(f"{path}: [{name}] has no setting '{key}'{near(key, known)}")
    return table


def inherit(name: str, systems: dict, heirs: tuple[str, ...] = ()) -> dict:
    """A system's table laid over that of its base, which may have one, too.

    Sub-tables are merged. [[distill]], heads, and a model with another encoder are replaced whole; controls and what is
    tuned are left.

    Args:
        name: Of the system.
        systems: The tables of all systems.
        heirs: The systems that have this one as their base, directly or through others.
    """
    table = dict(systems[name])
    base = table.pop("base", None)
    if base is None:
        return table
    if not isinstance(base, str) or base not in systems:
        raise UsageError(f"[{name}] base = '{base}': no such system{near(base, systems)}")
    if base in (*heirs, name):
        raise UsageError(f"[{name}] base = '{base}', whose base is [{name}] in turn")
    merged = {key: value for key, value in inherit(base, systems, (*heirs, name)).items() if key not in OWN_ALONE}
    for key, value in table.items():
        both = isinstance(value, dict) and isinstance(merged.get(key, {}), dict) and not is_whole(key, value, merged)
        merged[key] = laid_over(merged.get(key, {}), value) if both else value
    return merged


def is_whole(key: str, value: object, below: dict) -> bool:
    """Whether a table is not merged with the one below it, but stands for itself."""
    return key == "heads" or (key == "model" and has_other_encoder(value, below.get("model")))


def has_other_encoder(model: object, base: object) -> bool:
    """Whether a model names another encoder than its base, whose settings it cannot have."""
    if not isinstance(model, dict) or not isinstance(base, dict):
        return False
    return model.get("encoder", base.get("encoder")) != base.get("encoder")
