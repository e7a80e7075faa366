"""Commands side by side: what they say when they fail, and that then all are stopped."""

import threading
import time

import pytest

from utils.jobs.commands import Commands
from utils.jobs.errors import DataError, Interrupted, MachineError


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Commands that run the modules `fails`, `dies`, `stops` and `waits` of a folder."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, line in {
        "fails": "print('fails: error: data/x: no such set'); sys.exit(3)",
        "dies": "print('dies: started', flush=True); os.kill(os.getpid(), 9)",
        "stops": "sys.exit(7)",
        "waits": "open(sys.argv[1], 'w').close(); time.sleep(60)",
    }.items():
        (tmp_path / f"{name}.py").write_text(f"import os, sys, time\n{line}\n")
    return Commands()


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("fails", DataError, "fails failed: data/x: no such set; its log: "),
        ("dies", MachineError, "dies was ended by SIGKILL; is there memory for so many side by side"),
        ("stops", Interrupted, "stopped; run the same command again to go on"),
    ],
)
def test_a_command_that_fails_is_told_by_its_own_line(commands, tmp_path, name, error, said):
    log_file = tmp_path / "log"
    log_file.write_text("train: error: of another run\n")
    with pytest.raises(error) as caught:
        commands.call(log_file, [name])
    assert said in str(caught.value)
    assert log_file.read_text().startswith("train: error: of another run\n")


def test_when_one_fails_those_that_run_are_stopped_and_no_other_begins(commands, tmp_path):
    begun = []

    def work(item):
        begun.append(item)
        if item == "fails":
            while not (tmp_path / "there").exists():
                time.sleep(0.01)
            commands.call(tmp_path / "log.fails", ["fails"])
        else:
            commands.call(tmp_path / f"log.{item}", ["waits", str(tmp_path / "there")])

    started = time.monotonic()
    with pytest.raises(DataError, match="fails failed"):
        commands.side_by_side(work, ["waits", "fails", *range(9)], 2)
    assert time.monotonic() - started < 30
    assert len(begun) < 9 and not commands.running and threading.active_count() < 5
    with pytest.raises(Interrupted):
        commands.call(tmp_path / "log", ["waits", str(tmp_path / "again")])
    assert not (tmp_path / "again").exists()
