"""Helpers of the tests: processes, made audio, small data directories."""

import contextlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import soundfile

from tests import warm
from utils.jobs import lock, log

ROOT = Path(__file__).resolve().parents[1]


def environment(**more: str | None) -> dict[str, str]:
    """The environment of a command under test; None removes a variable."""
    found = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", **more}
    found["PATH"] = f"{Path(sys.executable).parent}:{found['PATH']}"
    return {key: value for key, value in found.items() if value is not None}


def start(args: list, cwd: Path, **more: str) -> subprocess.Popen:
    """Starts a program in a session of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        list(map(str, args)),
        cwd=cwd,
        env=environment(**more),
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )


def execute(args: list, cwd: Path, timeout_s: float = 300, **more: str) -> subprocess.CompletedProcess:
    """Runs a program to its end."""
    args = list(map(str, args))
    return subprocess.run(args, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=timeout_s)


def command(module: str, *args: object, cwd: Path, **more: str) -> subprocess.CompletedProcess:
    """Runs `python -m module args`; with an environment of its own it starts cold."""
    return execute([*([sys.executable] if more else warm.python()), "-m", module, *args], cwd, **more)


def driver(recipe: Path, *args: object, **more: str) -> subprocess.CompletedProcess:
    """Runs run.sh on a recipe; with an environment of its own its commands start cold."""
    return execute([ROOT / "run.sh", "--recipe", recipe, *args], ROOT, **(more or warm.environment()))


def assert_status(result: subprocess.CompletedProcess, status: int) -> None:
    """Compares the exit status, and shows what the program said where it differs."""
    assert result.returncode == status, f"status {result.returncode}, not {status}\n{result.stdout}\n{result.stderr}"


def error_of(result: subprocess.CompletedProcess, status: int) -> str:
    """The one error line of a command that failed with `status`, without a traceback."""
    assert_status(result, status)
    assert "Traceback" not in result.stderr, result.stderr
    errors = [line for line in result.stderr.splitlines() if ": error: " in line]
    assert len(errors) == 1, result.stderr
    return errors[0].split(": error: ", 1)[1]


def write_wav(path: Path, duration_s: float = 0.5, rate: int = 8000, seed: int = 0, **options: object) -> Path:
    """Writes seeded noise."""
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(duration_s * rate))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.clip(-1, 1), rate, **options)
    return path


def write_data_dir(path: Path, texts: dict[str, str]) -> Path:
    """A valid data directory of short recordings; the speaker is what stands before the dash of an id."""
    path.mkdir(parents=True)
    utt_ids = sorted(texts)
    by_speaker: dict[str, list[str]] = {}
    for utt_id in utt_ids:
        write_wav(path / "wav" / f"{utt_id}.wav", seed=zlib.crc32(utt_id.encode()))
        by_speaker.setdefault(utt_id.split("-")[0], []).append(utt_id)
    rows = {
        "wav.scp": [f"{u} {path}/wav/{u}.wav" for u in utt_ids],
        "text": [f"{u} {texts[u]}".strip() for u in utt_ids],
        "utt2spk": [f"{u} {u.split('-')[0]}" for u in utt_ids],
        "spk2utt": [f"{speaker} {' '.join(utts)}" for speaker, utts in by_speaker.items()],
    }
    for name, lines in rows.items():
        (path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def change_keeping_size_and_time(path: Path, data: bytes) -> None:
    """Overwrites a file with as many bytes, and puts its modification time back."""
    before = path.stat()
    assert len(data) == before.st_size and data != path.read_bytes()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def to_table(lines: list[tuple[str, ...]]) -> str:
    """Lines of cells, the head first, as a Markdown table in columns that a terminal shows as well."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    return "".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |\n" for line in lines)


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes but for one bit."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@contextlib.contextmanager
def released():
    """Gives back in the end what a command holds until its process ends: locks, log files."""
    try:
        yield
    finally:
        for held in (lock._HELD, log._FILES):
            while held:
                held.pop().close()
