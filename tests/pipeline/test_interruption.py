"""A training that is killed goes on, and ends with the same bits; and broken ways to go on are noticed."""

import json
import os
import random
import shutil
import signal
import sys
import time

import pytest

from steps.nnet.tensor_file import load_tensors
from steps.training.resume_files import resume_files
from tests.pipeline.killing import Training
from tests.pipeline.tiny import assert_nothing_half_made, copy_recipe, hashes, run_stages
from tests.support import ROOT, assert_status, command, driver, start

TRIALS = 10
UPDATES = 40
CHECKPOINTS = list(range(7, UPDATES, 7))  # epochs end elsewhere: see the first test


@pytest.fixture
def untrained(made, corpus, tmp_path):
    """Makes a recipe in which all is done but the student's training."""
    first = copy_recipe(made[0], tmp_path / "0", "events", "log")
    assert run_stages(first, corpus, last=2).returncode == 0
    shutil.rmtree(first / "exp" / "student")

    def copy(name):
        return copy_recipe(first, tmp_path / str(name))

    return copy


def tensors_of(recipe):
    return load_tensors(recipe / "exp" / "student" / "seed0" / "model.safetensors")[0]


def are_equal(recipe, other):
    a, b = tensors_of(recipe), tensors_of(other)
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def kill_at_a_checkpoint(recipe, update, generator, **options):
    """Kills a training at a random moment soon after it saved `update`; returns what it had saved."""
    training = Training(recipe, **options)
    training.wait_for_checkpoint(update)
    time.sleep(generator.uniform(0, 0.05))
    return training.kill()


def test_most_checkpoints_fall_within_an_epoch(made):
    rows = (made[0] / "exp" / "student" / "seed0" / "metrics.jsonl").read_text().splitlines()
    ends = [int(row.split('"update": ')[1].split(",")[0]) for row in rows]
    assert len(ends) > 3 and len(set(CHECKPOINTS) - set(ends)) > 3


def test_a_training_that_was_killed_ends_with_the_same_bits(made, untrained, corpus):
    generator = random.Random(0)
    saved = []
    for trial in range(TRIALS):
        recipe = untrained(trial + 1)
        aim = CHECKPOINTS[trial % len(CHECKPOINTS)]
        saved.append(kill_at_a_checkpoint(recipe, aim, generator))
        Training(recipe).succeed()
        assert are_equal(recipe, made[0]), f"killed after update {saved[-1]}"
        shutil.rmtree(recipe / "exp" / "student" / "seed0" / "checkpoints")
    assert all(7 <= update < UPDATES for update in saved) and len(set(saved)) > 3
    assert run_stages(recipe, corpus).returncode == 0
    assert hashes(recipe) == hashes(made[0])
    assert_nothing_half_made(recipe)


def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bits(made, untrained):
    recipe, generator = untrained(1), random.Random(1)
    for update in CHECKPOINTS[:4]:
        kill_at_a_checkpoint(recipe, update, generator)
    Training(recipe).succeed()
    assert are_equal(recipe, made[0])


@pytest.mark.parametrize("without", ["restore_noise", "restore_position"])
def test_a_training_that_does_not_go_on_rightly_is_noticed(made, untrained, without):
    recipe = untrained(1)
    kill_at_a_checkpoint(recipe, 7, random.Random(2), without=without)
    Training(recipe, without=without).succeed()
    assert not are_equal(recipe, made[0])


def test_a_training_that_is_killed_before_its_first_checkpoint_begins_anew(made, untrained):
    recipe = untrained(1)
    training = Training(recipe)
    while not (training.out / "train.log").exists():
        time.sleep(0.01)
    training.process.kill()
    training.wait()
    Training(recipe).succeed()
    assert are_equal(recipe, made[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_asked_to_stop_saves_and_ends_with_7(made, untrained, number):
    recipe = untrained(1)
    training = Training(recipe)
    training.wait_for_checkpoint(7)
    started = time.monotonic()
    assert training.signal(number) == 7 and time.monotonic() - started < 10
    assert not (training.out / "manifest.json").exists()
    assert_nothing_half_made(recipe)
    Training(recipe).succeed()
    assert are_equal(recipe, made[0])


def test_a_checkpoint_that_cannot_be_read_is_refused_and_kept(untrained):
    recipe = untrained(1)
    training = Training(recipe)
    training.wait_for_checkpoint(14)
    training.kill()
    newest = training.out / "checkpoints" / f"resume-{training.checkpoints()[-1]}.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    again = Training(recipe)
    assert again.wait() == 4
    said = (recipe / "stderr.log").read_text().split(" error: ")[-1]
    assert newest.name in said and "Traceback" not in said and newest.exists()
    newest.unlink()
    Training(recipe).succeed()


def test_why_tells_how_far_an_interrupted_training_came(untrained, corpus):
    recipe = untrained(1)
    training = Training(recipe)
    training.wait_for_checkpoint(7)
    saved = training.kill()
    result = run_stages(recipe, corpus, "--why", first=7, last=7)
    assert f"train exp/student/seed0: interrupted after update {saved}\n" in result.stdout


def test_an_unfinished_training_with_other_settings_is_refused(untrained):
    recipe = untrained(1)
    training = Training(recipe)
    training.wait_for_checkpoint(7)
    training.kill()
    assert Training(recipe, "--set", "student.train.lr=0.5").wait() == 4
    assert "train.lr 0.01 -> 0.5" in (recipe / "stderr.log").read_text()
    assert Training(recipe, "--set", "student.train.lr=0.5", "--force").wait() == 0


def test_a_finished_training_that_is_made_anew_goes_on_after_a_kill(made, untrained):
    recipe = untrained(1)
    Training(recipe).succeed()
    change = ("--set", "student.train.lr=0.02")
    training = Training(recipe, *change)
    wait_until(lambda: 7 <= max(training.checkpoints(), default=0) < UPDATES)  # the old ones are cleared first
    saved = training.kill()
    Training(recipe, *change).succeed()
    assert f"goes on after update {saved} of {UPDATES}" in (recipe / "stderr.log").read_text()
    straight = untrained(2)
    Training(straight, *change).succeed()
    assert are_equal(recipe, straight) and not are_equal(recipe, made[0])


def test_the_processor_time_of_a_killed_training_is_counted_on(untrained):
    recipe, options = untrained(1), ("--set", "student.train.updates=400", "--set", "student.train.valid_updates=400")
    for update in (100, 200, 300):
        training = Training(recipe, *options)
        training.wait_for_checkpoint(update)
        training.kill()
    Training(recipe, *options).succeed()
    straight = untrained(2)
    Training(straight, *options).succeed()
    times = [seconds_of(folder) for folder in (recipe, straight)]
    assert 0.5 * times[1] < times[0] < 2 * times[1], times


def seconds_of(recipe):
    manifest = json.loads((recipe / "exp" / "student" / "seed0" / "manifest.json").read_text())
    return manifest["counts"]["cpu_seconds"]


RANKS = "--system student --nj 2 --set student.train.ranks=2 --set student.train.updates=100000".split()


def start_ranks(recipe):
    """Starts a training in two ranks, and returns the command when a checkpoint is there."""
    process = start([sys.executable, "-m", "steps.train", *RANKS], recipe)
    wait_for_a_state(recipe)
    return process


def wait_for_a_state(recipe):
    wait_until(lambda: resume_files(recipe / "exp" / "student" / "seed0" / "checkpoints"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ranks_end_with_the_command_that_started_them(untrained, number):
    recipe = untrained(1)
    process = start_ranks(recipe)
    process.send_signal(number)
    process.communicate(timeout=40)
    assert process.returncode == (7 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_until(lambda: running_in(recipe) == [], timeout_s=20)


def test_ranks_hold_the_lock_after_the_command_that_started_them_was_killed(untrained):
    recipe = untrained(1)
    process = start_ranks(recipe)
    ranks = [pid for pid in running_in(recipe) if pid != str(process.pid)]
    for pid in ranks:
        os.kill(int(pid), signal.SIGSTOP)
    process.kill()
    process.wait()
    again = command("steps.train", *RANKS, cwd=recipe)
    assert_status(again, 6)
    assert "in use by another run" in again.stderr.splitlines()[-2]
    for pid in ranks:
        os.kill(int(pid), signal.SIGKILL)


def test_a_killed_rank_ends_the_training(untrained):
    recipe = untrained(1)
    process = start_ranks(recipe)
    ranks = [pid for pid in running_in(recipe) if pid != str(process.pid)]
    os.kill(int(ranks[-1]), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 5 and "ended with status -9" in said, said
    assert running_in(recipe) == []


def test_a_rank_says_why_it_failed(untrained):
    recipe = untrained(1)
    settings = ("lr=1e30", "clip_norm=1e30", "warmup_updates=0")
    result = command("steps.train", *RANKS, *(f"--set=student.train.{text}" for text in settings), cwd=recipe)
    assert_status(result, 3)
    assert "loss not finite in 3 updates in a row" in result.stderr.splitlines()[-2]


def start_long_training(recipe, corpus):
    """Starts stage 7, and returns the driver when a checkpoint is there."""
    options = "--seeds 0 --nj 2 --stage 7 --stop-stage 7 --set student.train.updates=100000".split()
    process = start([ROOT / "run.sh", "--recipe", recipe, "--corpus-dir", corpus, *options], ROOT)
    wait_for_a_state(recipe)
    return process


def test_the_driver_stops_its_jobs_and_ends_with_7(untrained, corpus):
    recipe = untrained(1)
    process = start_long_training(recipe, corpus)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 7, said
    assert time.monotonic() - started < 10 and "the same command goes on" in said
    assert running_in(recipe) == []


def test_jobs_end_when_the_driver_is_killed(untrained, corpus):
    recipe = untrained(1)
    process = start_long_training(recipe, corpus)
    process.kill()
    wait_until(lambda: running_in(recipe) == [], timeout_s=15)


def wait_until(condition, timeout_s=60):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s
        time.sleep(0.05)


def running_in(folder):
    """The processes whose working directory is `folder`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(folder):
                found.append(pid)
        except OSError:
            continue
    return found


def test_a_second_run_in_the_same_folder_ends_with_6(untrained, corpus):
    recipe = untrained(1)
    training = Training(recipe, "--set", "student.train.updates=100000")
    training.wait_for_checkpoint(7)
    assert_status(command("steps.train", "--system", "student", cwd=recipe), 6)
    training.kill()


def test_two_ranks_with_seven_utterances_train_bit_for_bit_as_one_process_does(made, corpus, tmp_path):
    recipe = copy_recipe(made[0], tmp_path / "recipe")
    assert run_stages(recipe, corpus, last=2).returncode == 0
    options = ["--set", "data.train=seven", "--set", "teacher.train.ranks=2", "--set", "teacher.train.updates=12"]
    for args in (
        ["utils.subset_data_dir", "--first", 7, "data/train", "data/seven"],
        ["steps.make_feats", "--nj", 1, "data/seven"],
        ["steps.compute_cmvn", "data/seven"],
        ["steps.train", "--system", "teacher", "--exp-dir", "exp/one", *options],
        ["steps.train", "--system", "teacher", "--exp-dir", "exp/two", "--nj", 2, *options],
    ):
        assert_status(command(*args, cwd=recipe), 0)
    one, two = (load_tensors(recipe / "exp" / n / "teacher/seed0/model.safetensors")[0] for n in ("one", "two"))
    assert one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)


def test_ranks_that_are_no_multiple_of_the_gpus_are_refused(made):
    result = command("steps.train", "--system", "teacher", "--gpus", "2", "--exp-dir", "/tmp/none", cwd=made[0])
    assert_status(result, 2)
    assert "--gpus 2: teacher.train.ranks = 1 is no multiple of it" in result.stderr


def test_a_driver_in_a_folder_in_use_ends_with_6(untrained, corpus):
    import fcntl

    recipe = untrained(1)
    with open(recipe / "exp" / ".run.lock", "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        result = driver(recipe, "--corpus-dir", corpus, "--seeds", "0", "--stop-stage", "1")
    assert (result.returncode, "in use by another run" in result.stderr) == (6, True)


def test_of_two_drivers_at_once_one_works_and_the_other_waits_or_ends_with_6(prepared, corpus):
    options = ["--corpus-dir", corpus, "--seeds", "0", "--nj", "1", "--stop-stage", "2"]
    both = [start([ROOT / "run.sh", "--recipe", prepared, *options], ROOT) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) in ([0, 6], [0, 0]), said
    assert "Traceback" not in "".join(said)
    result = run_stages(prepared, corpus, last=2)
    assert "nothing to do: everything is up to date" in result.stderr
