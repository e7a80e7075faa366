"""What the machine does to a run: a full or read-only disk, a clock that jumps."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.faults.faultio import build
from tests.pipeline.tiny import assert_nothing_half_made, copy_recipe, hashes, run_stages
from tests.support import ROOT, environment, error_of

KIB = 1024


def in_a_namespace(script, cwd=ROOT, timeout_s=300):
    """Runs a shell script that may mount file systems of its own."""
    command = ["unshare", "--mount", "--map-root-user", "bash", "-euc", script]
    if subprocess.run([*command[:3], "true"], capture_output=True).returncode:
        pytest.xfail("file systems cannot be mounted here, which takes root or user namespaces")
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout_s, check=False
    )


def run_on(recipe, corpus, options=""):
    """The driver's command line."""
    words = [ROOT / "run.sh", "--recipe", recipe, "--corpus-dir", corpus, "--seeds", "0", "--nj", "2"]
    return f"{shlex.join(map(str, words))} {options}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("room_kib", "stage"),
    [
        pytest.param(0, 1, id="data"),
        pytest.param(900, 5, id="teacher"),
        pytest.param(2500, 5, id="teacher's end"),
        pytest.param(4000, 7, id="student"),
    ],
)
def test_a_run_on_a_full_disk_ends_with_5_and_goes_on_when_there_is_room(
    made, prepared, corpus, tmp_path, room_kib, stage
):
    disk, result = tmp_path / "disk", tmp_path / "result"
    disk.mkdir()
    used = sum(4 * KIB * -(-path.stat().st_size // (4 * KIB)) for path in prepared.rglob("*") if path.is_file())
    size = used + (room_kib + 24) * KIB
    command = run_on(disk / "recipe", corpus)
    done = in_a_namespace(
        f"""
        mount -t tmpfs -o size={size} tmpfs {disk}
        cp -r {prepared} {disk}/recipe
        status=0; {command} || status=$?
        echo "status $status" >&2
        mount -o remount,size=100m {disk}
        {command}
        cp -r {disk}/recipe {result}
        """
    )
    assert done.returncode == 0, done.stderr
    first = done.stderr.split("status ")[0]
    assert "status 5\n" in done.stderr and "No space left on device" in first and "Traceback" not in first, first
    assert f"stage {stage}: " in first and f"stage {stage + 1}: " not in first, first
    assert hashes(result) == hashes(made[0])
    assert_nothing_half_made(result)


def test_a_read_only_folder_is_told_at_the_start(prepared, corpus):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    done = in_a_namespace(f"mount --bind -o ro {prepared} {prepared}\n{run_on(prepared, corpus)}")
    assert done.returncode == 5, done.stderr
    assert "--exp-dir 'exp' cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}


def test_a_read_only_model_folder_is_told(recipe):
    command = shlex.join([sys.executable, "-m", "steps.train", "--system", "student", "--force"])
    done = in_a_namespace(f"mount --bind -o ro {recipe}/exp {recipe}/exp\n{command}", cwd=recipe)
    assert "exp/student/seed0" in error_of(done, 5) and "Read-only file system" in done.stderr


@pytest.mark.parametrize("year_s", [0, 4_100_000_000])
def test_files_of_any_time_are_up_to_date(recipe, corpus, year_s):
    for path in recipe.rglob("*"):
        os.utime(path, (year_s, year_s))
    result = run_stages(recipe, corpus)
    assert result.returncode == 0 and "nothing to do: everything is up to date" in result.stderr, result.stderr


@pytest.mark.long
def test_a_clock_that_jumps_changes_nothing(made, corpus, tmp_path):
    recipe = copy_recipe(made[0], tmp_path / "recipe", "data", "exp")
    library = str(build(tmp_path))
    result = run_stages(recipe, corpus, LD_PRELOAD=library, FAULTIO_CLOCK="5400")
    assert result.returncode == 0 and hashes(recipe) == hashes(made[0]), result.stderr
    result = run_stages(recipe, corpus, LD_PRELOAD=library, FAULTIO_CLOCK="-5400")
    assert result.returncode == 0 and "nothing to do" in result.stderr, result.stderr
