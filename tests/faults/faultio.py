"""Makes I/O calls fail in forked processes that were started with `faultio.c` loaded.

`build` compiles it once; `Forker` starts a fork server in which torch and it are loaded, so that a trial costs a fork.
"""

import ctypes
import errno
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.faults.broken import BROKEN
from tests.warm import PRELOADED

SOURCE = Path(__file__).with_name("faultio.c")
READ, WRITE, CHANGE = 1, 2, 4
KILL = 0


def compiler() -> list[str]:
    """A C compiler: the system's, or the one that comes as the package ziglang. Raises: FileNotFoundError for none."""
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    if subprocess.run([sys.executable, "-m", "ziglang", "version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise FileNotFoundError("no C compiler; install gcc, or the Python package ziglang")


def build(folder: Path) -> Path:
    """Compiles the library into a folder."""
    library = folder / "faultio.so"
    command = [*compiler(), "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"]
    subprocess.run([str(word) for word in command], check=True)
    return library


@dataclass(frozen=True)
class Fault:
    """The n-th call of some kinds fails with an error number, or kills the process.

    Attributes:
        call: n; 0 only counts.
        error: ENOSPC, EIO, … or KILL.
        kinds: Of calls, READ | WRITE | CHANGE.
    """

    call: int = 0
    error: int = errno.EIO
    kinds: int = READ | WRITE | CHANGE


def _arm(folder: str, fault: Fault) -> None:
    library = ctypes.CDLL(None)
    library.faultio_arm(os.fsencode(folder), ctypes.c_long(fault.call), fault.error, fault.kinds)


def _count() -> int:
    library = ctypes.CDLL(None)
    library.faultio_count.restype = ctypes.c_long
    return library.faultio_count()


def _work(
    module: str, arguments: list[str], cwd: str, folder: str, below: str, fault: Fault | None, broken: str
) -> None:
    """Is the command `module`, with a fault below a folder; what it says and its calls go to another folder."""
    said = os.open(f"{folder}/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.chdir(cwd)
    sys.argv = [module, *arguments]
    is_file = module.endswith(".py")
    code = compile(Path(module).read_bytes(), module, "exec") if is_file else None
    if broken:
        BROKEN[broken]()
    if fault:
        _arm(below, fault)
    try:
        if is_file:
            exec(code, {"__name__": "__main__", "__file__": module})
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        calls = _count()
        _arm("", Fault())
        Path(folder, "calls").write_text(str(calls))


@dataclass(frozen=True)
class Ended:
    """How a command ended, how many calls it made, and what it said."""

    status: int | None  # None: it hangs; below 0 for a signal
    calls: int
    said: str


class Forker:
    """Runs commands in forks of one process."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([*PRELOADED, __name__])
        os.environ["LD_PRELOAD"] = str(build(folder))
        try:  # the server starts with the first process, and keeps the library
            first = self.context.Process(target=int)
            first.start()
            first.join()
        finally:
            del os.environ["LD_PRELOAD"]

    def start(
        self,
        module: str,
        *arguments: object,
        cwd: Path,
        below: Path,
        fault: Fault | None = None,
        broken: str = "",
    ) -> multiprocessing.Process:
        """Starts a command, in a build that is broken where `broken` names how."""
        (self.folder / "calls").unlink(missing_ok=True)
        args = (module, list(map(str, arguments)), str(cwd), str(self.folder), str(below), fault, broken)
        process = self.context.Process(target=_work, args=args)
        process.start()
        return process

    def run(self, module: str, *arguments: object, timeout_s: float = 60, **options: object) -> Ended:
        """Runs a command to its end; one that takes longer than the limit hangs, and is killed."""
        process = self.start(module, *arguments, **options)
        process.join(timeout_s)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
        calls, said = self.folder / "calls", self.folder / "said"
        return Ended(status, int(calls.read_text()) if calls.exists() else 0, said.read_text(errors="replace"))
