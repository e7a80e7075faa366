"""Utterances at other speeds: by `utt2speed`, without a copy of their audio.

At another speed than 1 an utterance and its speaker have ids of their own (`sp0.9-<id>`), and `utt2uniq` names the
utterance it was.
"""

from utils.data_dir.data_dir import FEATS_TABLES, DataDir
from utils.data_dir.values import SPEED_RANGE, to_speed
from utils.jobs.errors import DataError, UsageError


def speeds(factors: list[str]) -> list[str]:
    """Factors as ids hold them. Raises: UsageError for one that is none or stands twice, and where there are none."""
    if not factors:
        raise UsageError("no factor of speed; write at least 1")
    if not all(isinstance(factor, str) for factor in factors):
        raise UsageError(f'{factors}: write factors of speed as text, such as "0.9"')
    found = []
    for factor in factors:
        speed = to_speed(factor)
        if speed is None:
            raise UsageError(f"'{factor}' is not {SPEED_RANGE}")
        found.append(f"{speed:g}")
    if len(set(found)) < len(found):
        raise UsageError(f"{', '.join(factors)}: names a factor twice")
    return found


def persons(utt2spk: dict[str, str], utt2uniq: dict[str, str]) -> dict[str, str]:
    """Who speaks each utterance: at another speed a speaker has another id, and is the same person."""
    found = {}
    for utt_id, speaker in utt2spk.items():
        origin = utt2uniq.get(utt_id, utt_id)
        found[utt_id] = utt2spk.get(origin, speaker.removeprefix(utt_id.removesuffix(origin)))
    return found


def product(source: DataDir, utt_id: str, before: float, factor: str) -> str:
    """The speed of an utterance at one more factor. Raises: DataError when it is out of range."""
    speed = f"{before * float(factor):g}"
    if to_speed(speed) is None:
        text = f"utterance '{utt_id}': {before:g} times {factor} is not {SPEED_RANGE}"
        raise DataError(f"{source.path}/utt2speed: {text}")
    return speed


def at_speed(source: DataDir, factor: str) -> DataDir:
    """The directory at one speed."""
    prefix = "" if factor == "1" else f"sp{factor}-"
    tables = {
        name: rows for name, rows in source.tables.items() if name not in FEATS_TABLES
    }  # not true at another speed
    origins = source.tables.get("utt2uniq", {})
    tables["utt2speed"] = {u.utt_id: product(source, u.utt_id, u.speed, factor) for u in source.utterances()}
    tables["utt2uniq"] = {u: origins.get(u, u) for u in source.utt_ids}
    keeps_keys = ("wav.scp",) if "segments" in tables else ()
    renamed = {
        name: rows if name in keeps_keys else {prefix + k: v for k, v in rows.items()} for name, rows in tables.items()
    }
    renamed["utt2spk"] = {prefix + u: prefix + speaker for u, speaker in source.utt2spk.items()}
    return DataDir(source.path, renamed)


def perturb(source: DataDir, factors: list[str]) -> DataDir:
    """The directory at all speeds. Raises: DataError when two utterances would have one id."""
    whole: dict[str, dict[str, str]] = {}
    for factor in factors:
        for name, rows in at_speed(source, factor).tables.items():
            table = whole.setdefault(name, {})
            if twice := sorted(table.keys() & rows.keys()) if name == "utt2spk" else []:
                told = f"utterance '{twice[0]}' would come twice; perturb the directory that is not perturbed yet"
                raise DataError(f"{source.path}: {told}")
            table.update(rows)
    return DataDir(source.path, whole)
