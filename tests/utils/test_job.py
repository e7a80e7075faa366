import argparse
import json
import os
import signal
import sys

import pytest

from tests.support import change_keeping_size_and_time, execute, released
from utils.jobs.errors import DataError, StaleError
from utils.jobs.job import Job, first_change
from utils.jobs.manifest import Manifest, check_made, describe


class Copying:
    """A job that writes the input in capitals, and counts how often it worked."""

    def __init__(self, folder, **more):
        self.input, self.output, self.manifest = (
            folder / "in.txt",
            folder / "out" / "out.txt",
            folder / "out" / "manifest.json",
        )
        self.more = {"settings": {"a": {"b": 1}}, "format": 1, **more}
        self.built = 0
        self.input.write_text("abc")

    def job(self):
        return Job("copy", manifest=self.manifest, inputs=(self.input,), **self.more)

    def run(self, **options):
        flags = {"force": False, "why": False, "verify": False, **options}
        with released():
            return self.job().run(argparse.Namespace(**flags), self.build)

    def build(self, stage):
        self.built += 1
        (stage / "out.txt").write_text(self.input.read_text().upper())
        return {"in": 1, "out": 1, "dropped": 0}


@pytest.fixture
def copying(tmp_path):
    return Copying(tmp_path)


@pytest.fixture
def done(copying):
    copying.run()
    return copying


def test_outputs_and_manifest_are_written(done):
    assert done.output.read_text() == "ABC"
    found = json.loads(done.manifest.read_text())
    assert found["counts"] == {"in": 1, "out": 1, "dropped": 0}
    assert found["inputs"][str(done.input)][0] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert list(found["outputs"]) == ["out.txt"]


def test_nothing_else_is_left_behind(done):
    assert sorted(p.name for p in done.manifest.parent.iterdir()) == [".copy.lock", "manifest.json", "out.txt"]


def test_the_second_run_does_nothing(done, capsys):
    assert done.run() and done.built == 1
    assert "up to date" in capsys.readouterr().err


def test_a_touched_input_is_no_reason_to_work(done):
    os.utime(done.input)
    done.run()
    assert done.built == 1


def test_a_changed_input_of_the_same_size_and_time_is_noticed(done):
    change_keeping_size_and_time(done.input, b"xyz")
    done.run()
    assert (done.built, done.output.read_text()) == (2, "XYZ")


def stale(copying, **more):
    copying.more |= more
    return copying.job().stale_reason()


def test_a_changed_setting_is_named_with_both_values(done):
    assert stale(done, settings={"a": {"b": 2}}) == "setting a.b changed (1 -> 2)"


def test_a_new_setting_is_named(done):
    assert stale(done, settings={"a": {"b": 1, "c": 3}}) == "setting a.c changed (unset -> 3)"


def test_a_changed_format_is_named(done):
    assert stale(done, format=2) == "the code writes another format (1 -> 2)"


def test_a_changed_input_is_named(done):
    done.input.write_text("other")
    assert stale(done) == f"input {done.input} changed"


def test_a_missing_input_is_named(done):
    done.input.unlink()
    assert stale(done) == f"input {done.input} is missing"


def test_an_input_of_another_name_is_named(done):
    done.input = done.input.with_name("new.txt")
    done.input.write_text("abc")
    assert stale(done) == f"input {done.input} is new"


def test_a_missing_output_is_made_again(done):
    done.output.unlink()
    assert stale(done) == f"output {done.output} is missing"
    done.run()
    assert done.output.read_text() == "ABC"


def test_force_works_although_nothing_changed(done):
    done.run(force=True)
    assert done.built == 2


def test_why_tells_and_does_nothing(done, capsys):
    done.input.write_text("other")
    assert done.run(why=True) is False
    assert (done.built, done.output.read_text()) == (1, "ABC")
    assert capsys.readouterr().out == f"copy {done.manifest.parent}: input {done.input} changed\n"


def test_why_is_true_when_up_to_date(done, capsys):
    assert done.run(why=True) is True
    assert capsys.readouterr().out == f"copy {done.manifest.parent}: up to date\n"


def test_an_edited_output_is_refused(done):
    done.output.write_text("edited")
    with pytest.raises(StaleError, match="out.txt: not what copy wrote; run it again with --force"):
        done.run()


def test_a_changed_output_of_the_same_size_and_time_is_refused(done):
    change_keeping_size_and_time(done.output, b"ABX")
    with pytest.raises(StaleError):
        done.run()


def test_force_makes_an_altered_output_anew(done):
    done.output.write_text("edited")
    done.run(force=True)
    assert done.output.read_text() == "ABC"


@pytest.fixture
def edited(tmp_path):
    copying = Copying(tmp_path, editable=True)
    copying.run()
    copying.output.write_text("by hand")
    return copying


def test_an_output_edited_by_hand_is_kept_and_announced(edited, capsys):
    edited.run()
    assert (edited.built, edited.output.read_text()) == (1, "by hand")
    assert f"{edited.output} was edited by hand: kept" in capsys.readouterr().err


def test_an_output_edited_by_hand_is_not_mixed_with_new_ones(edited, monkeypatch):
    monkeypatch.setenv("RETORT_STAGE", "1")
    edited.input.write_text("other")
    text = "out.txt: edited by hand, and input .*in.txt changed; .* anew with --stage 1 --stop-stage 1 --force"
    with pytest.raises(StaleError, match=text):
        edited.run()
    assert (edited.built, edited.output.read_text()) == (1, "by hand")
    edited.input.write_text("abc")
    edited.run()
    assert (edited.built, edited.output.read_text()) == (1, "by hand")


def test_why_tells_of_an_output_edited_by_hand_whose_input_changed(edited, capsys):
    edited.input.write_text("other")
    assert not edited.run(why=True)
    assert "edited by hand, and input" in capsys.readouterr().out


def test_force_makes_an_output_edited_by_hand_anew(edited):
    edited.run(force=True)
    assert edited.output.read_text() == "ABC"


def next_job(copying):
    """A job that reads what `copying` wrote."""
    return Job("next", 1, copying.manifest.parent / "next.manifest.json", (copying.manifest,), {})


def run_next(copying):
    def build(stage):
        (stage / "next.txt").write_text("done")

    flags = argparse.Namespace(force=False, why=False, verify=False)
    with released():
        return next_job(copying).run(flags, build)


def test_an_edit_makes_what_depends_on_it_stale(edited):
    edited.run(force=True)
    run_next(edited)
    edited.output.write_text("by hand")
    assert next_job(edited).stale_reason() == f"what {edited.manifest} lists changed"


def test_a_job_is_not_stale_when_its_input_was_made_again_alike(done):
    run_next(done)
    done.run(force=True)
    assert next_job(done).stale_reason() is None


def test_work_on_a_stale_input_is_refused(done):
    done.input.write_text("other")
    with pytest.raises(StaleError, match="out: stale, copy read .*in.txt, which changed since; run its stage again"):
        run_next(done)


def test_the_manifest_of_another_program_is_left_alone(done):
    (done.manifest.parent / "train_manifest.json").write_text('{"audio": "a.wav"}\n{"audio": "b.wav"}\n')
    (done.manifest.parent / "a.manifest.json").write_text('{"version": 2}')
    next_job = Job("next", 1, done.manifest.parent.parent / "next" / "manifest.json", (done.output,), {})
    with released():
        assert next_job.run(argparse.Namespace(force=False, why=False, verify=False), lambda stage: {})


def test_work_on_a_missing_input_is_refused(copying):
    copying.input.unlink()
    with pytest.raises(DataError, match="in.txt: missing; run the earlier stage that makes it"):
        copying.run()


def test_outputs_no_longer_made_are_removed(done):
    def build(stage):
        (stage / "new.txt").write_text("x")

    done.build = build
    done.run(force=True)
    assert not done.output.exists()


def test_a_failing_build_leaves_the_old_outputs_and_nothing_half_made(done):
    def build(stage):
        (stage / "out.txt").write_text("half")
        raise OSError("no")

    done.build = build
    before = done.manifest.read_bytes()
    with pytest.raises(OSError, match="no"):
        done.run(force=True)
    assert (done.output.read_text(), done.manifest.read_bytes()) == ("ABC", before)
    assert not (done.manifest.parent / ".copy.tmp").exists()


def test_a_death_between_two_outputs_leaves_no_manifest(done, monkeypatch):
    def build(stage):
        for name in ("out.txt", "second.txt"):
            (stage / name).write_text("new")

    rename = os.replace

    def replace_once(temporary, path):
        if path.name == "second.txt":
            raise KeyboardInterrupt
        rename(temporary, path)

    done.build = build
    monkeypatch.setattr(os, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        done.run(force=True)
    assert not done.manifest.exists()
    assert done.job().stale_reason() == "never made"


KILLED = """
import argparse, os, signal
from pathlib import Path
from utils.jobs.job import Job, first_change

def build(stage):
    (stage / "out.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

job = Job("copy", 1, Path("out/manifest.json"), (Path("in.txt"),), {"a": {"b": 1}})
job.run(argparse.Namespace(force=False, why=False, verify=False), build)
"""


def test_a_killed_job_leaves_no_manifest_and_the_next_one_cleans_up(copying, tmp_path):
    assert execute([sys.executable, "-c", KILLED], tmp_path).returncode == -signal.SIGKILL
    assert not copying.manifest.exists() and (tmp_path / "out" / ".copy.tmp" / "out.txt").exists()
    copying.run()
    assert sorted(p.name for p in copying.manifest.parent.iterdir()) == [".copy.lock", "manifest.json", "out.txt"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"command": 1}', '{"a": 1}'])
def test_an_unreadable_manifest_is_refused_in_one_line(done, content):
    done.manifest.write_text(content)
    with pytest.raises(StaleError, match="cannot be read as a manifest; delete it, or run its command with --force"):
        done.run()


def test_force_works_although_the_manifest_is_unreadable(done):
    done.manifest.write_text("{")
    done.run(force=True)
    assert done.built == 2


def test_verify_notices_what_size_and_times_hide(done):
    recorded = json.loads(done.manifest.read_text())
    recorded["outputs"]["out.txt"][0] = "0" * 64
    done.manifest.write_text(json.dumps(recorded))
    assert done.job().stale_reason() is None
    with pytest.raises(StaleError):
        done.job().stale_reason(verify=True)


def test_a_job_whose_files_were_copied_is_up_to_date_and_trusts_their_new_numbers(done):
    data = done.input.read_bytes()
    done.input.unlink()
    done.input.write_bytes(data)
    done.run()
    assert done.built == 1
    assert json.loads(done.manifest.read_text())["inputs"][str(done.input)][3:] == [
        done.input.stat().st_ctime_ns,
        done.input.stat().st_ino,
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": {"b": 1}, "c": 2}, {"c": 2, "a": {"b": 1}}, None),
        ({"a": {"b": 1}}, {"a": {"b": 3}}, ("a.b", "1 -> 3")),
        ({"a": [1, 2]}, {"a": []}, ("a", "[1, 2] -> []")),
        ({"a": [{"b": 1, "c": {"d": 1}}]}, {"a": ({"b": 1, "c": {"d": 2}},)}, ("a.0.c.d", "1 -> 2")),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, ("a.1.b", "unset -> 2")),
        ({"a": [{}]}, {"a": [{}, {}]}, ("a", "1 -> 2 tables")),
        ({}, {"a": None}, None),
    ],
)
def test_a_changed_setting_is_named_in_a_list_of_tables_too(before, after, expected):
    assert first_change(before, after) == expected


def test_outputs_in_a_folder_that_is_a_link_are_found(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "feats").symlink_to(tmp_path / "disk")
    (tmp_path / "set" / "feats" / "a.ark").write_text("x")
    manifest = Manifest("make", 1, {}, {}, {"feats/a.ark": describe(tmp_path / "set" / "feats" / "a.ark")}, base="..")
    manifest.write(tmp_path / "set" / "feats" / "manifest.json")
    check_made(tmp_path / "set" / "feats" / "manifest.json")
    (tmp_path / "set" / "feats" / "a.ark").unlink()
    with pytest.raises(StaleError, match="set/feats/a.ark: missing; run make again"):
        check_made(tmp_path / "set" / "feats" / "manifest.json")
