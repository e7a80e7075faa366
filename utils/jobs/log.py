"""Log lines on stderr (`2026-01-31 12:00:00 make_feats: text`) and, on request, in a file too."""

import contextlib
import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_FILES: list = []
_COMMAND = "retort"
_OPEN = False
_IS_SILENT = False


def set_command(name: str) -> None:
    """Names the command that later lines carry."""
    global _COMMAND
    _COMMAND = name


def add_file(path: Path) -> None:
    """Copies every later line to the end of `path`, which is made with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _FILES.append(open(path, "a", encoding="utf-8"))


def silence() -> None:
    """Writes nothing more: another process that does the same work says it."""
    global _IS_SILENT
    _IS_SILENT = True


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Writes nothing within: what is done will be done again, and told then."""
    global _IS_SILENT
    before, _IS_SILENT = _IS_SILENT, True
    try:
        yield
    finally:
        _IS_SILENT = before


def info(text: str) -> None:
    """Writes one line."""
    if _IS_SILENT:
        return
    stamp = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    for stream in (sys.stderr, *_FILES):
        with contextlib.suppress(OSError):  # a full disk must not hide the message from the other stream
            print(f"{stamp} {_COMMAND}: {text}", file=stream, flush=True)


def warn(text: str) -> None:
    """Writes one line that the driver also shows on the screen."""
    info(f"warning: {text}")


def commit() -> str:
    """The commit of the code that runs, with `+` when files but texts differ from it or are not in it."""
    try:
        found = _git("describe", "--always", "--exclude=*")
        return f"{found}+" if found and _git("status", "--porcelain", "--", ":!*.md") else found or "unknown"
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()


def open_log(argv: list[str]) -> None:
    """Writes the lines that open a log: command, commit, host and versions."""
    global _OPEN
    _OPEN = True
    info(f"command: {shlex.join(argv)}")
    versions = f"python {platform.python_version()}"
    if "torch" in sys.modules:
        versions += f", torch {sys.modules['torch'].__version__}"
    info(f"commit {commit()}, host {platform.node()}, {versions}, cwd {os.getcwd()}")


def is_open() -> bool:
    """Whether the opening lines were written, so that the closing line is due."""
    return _OPEN
