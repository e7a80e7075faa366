"""`python3 -m …` in forks of one process that has torch: importing it is most of what a tiny run takes.

A command is a process of its own, with its own files, environment and exit status; but it is the server's child, and
took the locale, the limits and the preloaded libraries from there: tests of those start it cold.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import sys

ADDRESS = "RETORT_WARM"  # of the server's socket
PRELOADED = ["steps.training.run", "steps.distillation.extract", "steps.decoding.decode_set", "steps.scoring.collect"]
PRELOADED += ["steps.features.extract", "torchaudio.compliance.kaldi", "torch._dynamo", "scipy.stats"]
HEAD = struct.Struct("!i")


def environment() -> dict[str, str]:
    """The variables of a bash script whose `python3` is warm: a function of its environment comes before the path."""
    call = " ".join(f'"{word}"' for word in python())
    return {"BASH_FUNC_python3%%": f'() {{ {call} "$@"; }}', "PYTHON": sys.executable}


def python() -> list[str]:
    """What stands before `-m` on a command line. The first call starts the server, which ends with this process."""
    if ADDRESS not in os.environ:
        _start()
    return [sys.executable, "-I", "-S", __file__]


def _start() -> None:
    """Starts the server."""
    import atexit
    import shutil
    import subprocess
    import tempfile

    from tests import support  # which imports this

    folder = tempfile.mkdtemp(prefix="warm")
    os.environ[ADDRESS] = f"{folder}/socket"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", "--serve"],
        env=support.environment(PYTHONUTF8="1"),
        cwd=support.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    server.stdout.readline()  # it listens

    def stop() -> None:
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)

    atexit.register(stop)


def _serve() -> None:
    """Forks the commands that clients ask for, and tells each its process and its status, until standard input ends."""
    import gc
    import importlib
    import select

    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # what a fork never looks at need not be copied
    running: dict[int, tuple[int, socket.socket]] = {}  # by file descriptor of the process
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.environ[ADDRESS])
        listener.listen(64)
        print(flush=True)
        while True:
            ready, _, _ = select.select([sys.stdin, listener, *running], [], [])
            if sys.stdin in ready:
                return
            for process in running.keys() & set(ready):
                pid, client = running.pop(process)
                os.close(process)
                _tell(client, os.waitpid(pid, 0)[1])
                client.close()
            if listener in ready:
                client, _ = listener.accept()
                if pid := _fork(client):
                    _tell(client, pid)
                    running[os.pidfd_open(pid)] = pid, client


def _fork(client: socket.socket) -> int:
    """Starts the command that a client asks for; returns its process, or 0 where the client was killed meanwhile."""
    message, streams, _, _ = socket.recv_fds(client, HEAD.size, 3)
    length = HEAD.unpack(message)[0] if message else 0
    text = client.recv(length, socket.MSG_WAITALL) if length else b""
    if not text or len(text) < length:
        return 0
    request = json.loads(text)
    pid = os.fork()
    if not pid:
        _work(request, streams)
    for stream in streams:
        os.close(stream)
    return pid


def _tell(client: socket.socket, number: int) -> None:
    """Sends a number to a client, which may have been killed meanwhile."""
    with contextlib.suppress(BrokenPipeError):
        client.sendall(HEAD.pack(number))


def _work(request: dict, streams: list[int]) -> None:
    """Is the command."""
    import atexit
    import runpy
    import traceback

    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        _, module, *arguments = request["arguments"]
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as e:
        status = e.code or 0
    except BaseException:
        traceback.print_exc()
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
    finally:
        os._exit(status)


def _ask(arguments: list[str]) -> None:
    """Has the server run a command, and ends as it ends; what is no command of Retort's is run by Python itself."""
    is_command = arguments[:1] == ["-m"] and arguments[1].startswith(("steps.", "utils."))
    if not is_command or arguments[1] == "utils.jobs.lock":  # which needs a file of the caller's
        os.execv(sys.executable, [sys.executable, *arguments])
    request = {"arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ)}
    message = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ[ADDRESS])
        socket.send_fds(server, [HEAD.pack(len(message))], [0, 1, 2])
        server.sendall(message)
        (pid,) = HEAD.unpack(server.recv(HEAD.size, socket.MSG_WAITALL))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        (status,) = HEAD.unpack(server.recv(HEAD.size, socket.MSG_WAITALL))
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        _serve()
    else:
        _ask(sys.argv[1:])
