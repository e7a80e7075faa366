"""The start of each command, against that of Python alone; and a command that finds nothing to do, against a limit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from bench.rows import Goal, Row, race, time_row
from bench.speech import ROOT

LIMIT_S = 0.3  # for saying that all is up to date


def commands() -> list[str]:
    """The modules that a person can run."""
    files = sorted([*ROOT.glob("steps/*.py"), *ROOT.glob("utils/*.py")])
    return [f"{path.parent.name}.{path.stem}" for path in files if path.stem != "__init__"]


def python(*args: str, cwd: Path) -> None:
    """Runs Python to its good end."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *args], cwd=cwd, env=env, check=True, capture_output=True)


def write_data_dir(folder: Path) -> Path:
    """A data directory of one second."""
    data_dir = folder / "data" / "train"
    data_dir.mkdir(parents=True)
    soundfile.write(folder / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    tables = {"wav.scp": f"a {folder}/a.wav", "utt2spk": "a a", "spk2utt": "a a", "text": "a x"}
    for name, line in tables.items():
        (data_dir / name).write_text(f"{line}\n")
    (folder / "conf.toml").write_text("[features]\nsample_rate_hz = 8000\n")
    return data_dir


def rows(folder: Path) -> list[Row]:
    """A row for each command, and one for `make_feats` on features that are there."""
    runners = {module: (lambda m=module: python("-m", m, "--help", cwd=folder)) for module in commands()}
    seconds = race({"python": lambda: python("-c", "pass", cwd=folder), **runners}, 3)
    table = [time_row(f"start-up, {module}", seconds[module], seconds["python"], Goal()) for module in runners]
    again = ("-m", "steps.make_feats", str(write_data_dir(folder)))
    python(*again, cwd=folder)
    idle_s = race({"again": lambda: python(*again, cwd=folder)}, 5)["again"]
    name = "nothing to do, steps.make_feats, against the limit"
    return [*table, Row(name, idle_s, LIMIT_S, idle_s / LIMIT_S, Goal(at_most=1.0), "s")]
