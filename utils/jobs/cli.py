"""How a command starts and ends: options, one-line errors, exit statuses, signals."""

import argparse
import errno
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from utils.jobs import log
from utils.jobs.errors import DataError, Interrupted, MachineError, RetortError, UsageError
from utils.jobs.watch import die_with_driver

MAX_NAME = 100  # characters of a path that a message shows
MACHINE_FAULTS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EMFILE,
    errno.ENOMEM,
}
PATH_FAULTS = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EXDEV}


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the command's module docstring and whose errors are one line."""

    def __init__(self, doc: str):
        super().__init__(
            prog=_prog(), description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )

    def error(self, message: str):
        raise UsageError(f"{message}; see --help")

    def add_config(self) -> None:
        """Adds --config and --set."""
        self.add_argument("--config", type=Path, default=Path("conf.toml"), help="the recipe's configuration")
        self.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="override one setting")

    def add_job(self) -> None:
        """Adds the options of a command that keeps a manifest."""
        self.add_argument("--force", action="store_true", help="work even when everything is up to date")
        self.add_argument("--why", action="store_true", help="do nothing; say what is stale, and why")
        self.add_argument("--verify", action="store_true", help="hash every file instead of trusting size and times")

    def add_nj(self) -> None:
        """Adds --nj."""
        self.add_argument("--nj", type=positive, default=os.cpu_count(), help="how many processes work side by side")


def positive(text: str) -> int:
    """An integer above 0, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return int(text)


def natural(text: str) -> int:
    """An integer from 0 on, for argparse."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return int(text)


def positive_real(text: str) -> float:
    """A number above 0, for argparse."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found > 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return found


def names(text: str) -> list[str]:
    """Names with commas between them, for argparse: an option of several words would swallow what follows it."""
    found = text.split(",")
    if not all(found):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list such as a,b")
    return found


def _prog() -> str:
    return Path(sys.argv[0]).stem


def _interrupt(signal_number: int, _frame: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # once is enough: cleaning up must not be interrupted
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted(f"stopped by {signal.Signals(signal_number).name}; run the same command again to go on")


def _machine_fault(error: BaseException | None) -> OSError | None:
    """The machine's fault that an error is, or that it was raised for."""
    while error and not (isinstance(error, OSError) and error.errno in MACHINE_FAULTS):
        error = error.__context__
    return error


def _status_of(error: BaseException) -> int:
    """Reports an error as its kind requires, and returns the exit status."""
    fault = _machine_fault(error)
    if fault and not isinstance(error, MachineError | Interrupted):
        log.info(f"error: {fault.filename or 'output'}: {fault.strerror}")
        return MachineError.status
    if isinstance(error, DataError) and "--why" in sys.argv[1:]:  # earlier stages may still make what is missing
        print(f"{_prog()}: would fail as things are: {error}", flush=True)
        return 0
    if isinstance(error, RetortError):
        log.info(f"error: {error}")
        return error.status
    if isinstance(error, MemoryError):
        log.info("error: out of memory; use fewer processes (--nj) or smaller batches (max_frames)")
        return MachineError.status
    if isinstance(error, OSError) and error.errno in PATH_FAULTS:
        name = str(error.filename)
        name = f"{name[:MAX_NAME]}…" if len(name) > MAX_NAME else name
        log.info(f"error: {name}: {error.strerror}; correct the path")
        return DataError.status
    log.info(f"error: this is a bug in Retort\n{''.join(traceback.format_exception(error)).rstrip()}")
    return 1


def run(main: Callable[[list[str]], None]) -> None:
    """Runs `main(argv)` as the command of this process and exits with DESIGN's statuses."""
    started = time.monotonic()
    log.set_command(_prog())
    status = 0
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        die_with_driver()
        main(sys.argv[1:])
        sys.stdout.flush()
    except SystemExit as e:  # --help
        status = e.code or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except BaseException as e:  # the one place that turns errors into exit statuses
        status = _status_of(e)
    for number in (signal.SIGINT, signal.SIGTERM):  # the work is done
        signal.signal(number, signal.SIG_IGN)
    if log.is_open():
        log.info(f"ended with status {status} after {time.monotonic() - started:.1f} s")
    sys.exit(status)
