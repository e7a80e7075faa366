import signal
import subprocess
import sys
import time

import pytest

from tests.support import assert_status, environment, error_of, execute

PROGRAM = """
import errno
from utils.jobs import errors
from utils.jobs.cli import Parser, positive, run

def main(argv):
    {body}

run(main)
"""


def run_body(tmp_path, body, *args):
    return execute([sys.executable, "-c", PROGRAM.format(body=body), *args], tmp_path)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("raise errors.UsageError('x')", 2, "x"),
        ("raise errors.DataError('x')", 3, "x"),
        ("raise errors.StaleError('x')", 4, "x"),
        ("raise errors.MachineError('x')", 5, "x"),
        ("raise errors.InUseError('x')", 6, "x"),
        ("raise errors.Interrupted('x')", 7, "x"),
        ("raise MemoryError", 5, "out of memory"),
        ("raise OSError(errno.ENOSPC, 'No space left on device', 'f')", 5, "f: No space left on device"),
        ("raise OSError(errno.EFBIG, 'File too large')", 5, "output: File too large"),
        ("open('/' + 'x' * 300)", 3, "File name too long; correct the path"),
        ("open('/dev/null/x')", 3, "/dev/null/x: Not a directory; correct the path"),
        ("open('/')", 3, "/: Is a directory; correct the path"),
        ("import os; os.mkdir('/dev/null')", 3, "/dev/null: File exists; correct the path"),
        ("open('/dev/full', 'w').write('x' * 100000)", 5, "No space left on device"),
        ("Parser('doc').parse_args(['--no'])", 2, "unrecognized arguments: --no; see --help"),
    ],
)
def test_each_kind_of_error_is_one_line_and_a_status(tmp_path, body, status, said):
    assert said in error_of(run_body(tmp_path, body), status)


def test_a_refusal_for_a_fault_of_the_machine_is_the_machines(tmp_path):
    body = """try:
        raise OSError(errno.EIO, 'Input/output error', 'f')
    except OSError:
        raise errors.DataError('make f anew') from None"""
    assert error_of(run_body(tmp_path, body), 5) == "f: Input/output error"


def test_a_question_is_answered_where_the_work_would_fail(tmp_path):
    result = run_body(tmp_path, "raise errors.DataError('x')", "--why")
    assert_status(result, 0)
    assert result.stdout.endswith(": would fail as things are: x\n") and result.stderr == ""
    assert error_of(run_body(tmp_path, "raise errors.UsageError('x')", "--why"), 2) == "x"


def test_a_bug_shows_its_traceback_and_ends_with_1(tmp_path):
    result = run_body(tmp_path, "1 / 0")
    assert_status(result, 1)
    assert "this is a bug in Retort" in result.stderr and "ZeroDivisionError" in result.stderr


def test_success_is_status_0(tmp_path):
    assert_status(run_body(tmp_path, "pass"), 0)


def test_help_is_the_documentation(tmp_path):
    result = run_body(tmp_path, "Parser('a -> b').parse_args(['--help'])")
    assert_status(result, 0)
    assert "a -> b" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_status_7(tmp_path, number):
    body = "import time; print('ready', flush=True); time.sleep(30)"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == 7
        assert f"stopped by {number.name}; run the same command again to go on" in process.stderr.read().decode()


def test_a_command_ends_with_its_driver(tmp_path):
    driver = subprocess.Popen(["sleep", "60"])
    body = "import time; print('ready', flush=True); time.sleep(30)"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        env=environment(RETORT_DRIVER_PID=str(driver.pid)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.stdout.readline()
        driver.kill()
        driver.wait()
        started = time.monotonic()
        assert process.wait(10) == 7 and time.monotonic() - started < 5


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    program = PROGRAM.format(body="[print('x' * 1000) for _ in range(1000)]")
    result = execute(
        ["bash", "-c", f'{sys.executable} -c "$1" | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}', "_", program],
        tmp_path,
    )
    assert result.stdout == "0\n" and result.stderr == ""
