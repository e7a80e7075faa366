from dataclasses import asdict
from pathlib import Path

import pytest

from steps.compare import parse_seeds
from steps.config.load import load
from steps.config.systems import all_systems, init_folder, pairs_of, reference_of, system_named, teacher_of
from steps.list_runs import lines_of
from steps.scoring.collect import runs_of
from tests.steps.config.examples import LONG, METHODS, PHONE
from utils.jobs.errors import UsageError


def test_the_twin_differs_in_its_name_and_terms_only(conf):
    config = conf()
    twin, student = system_named(config, "student_plain"), system_named(config, "student")
    assert twin.distill == () and twin.name == "student_plain"
    keep = [key for key in asdict(student) if key not in ("name", "distill")]
    assert all(asdict(twin)[key] == asdict(student)[key] for key in keep)


def test_a_system_without_terms_has_no_twin(conf):
    assert sorted(all_systems(conf())) == ["student", "student_plain", "teacher"]


def test_an_unknown_system_is_refused_with_the_valid_names(conf):
    with pytest.raises(UsageError, match="no system 'studnet'; valid: student, student_plain, teacher"):
        system_named(conf(), "studnet")


@pytest.mark.parametrize(("teacher", "expected"), [("teacher", ("teacher", 0)), ("teacher/seed2", ("teacher", 2))])
def test_a_teacher_is_named_with_its_seed(conf, teacher, expected):
    config = conf("", f"student.distill.0.teacher={teacher}")
    assert teacher_of(config.systems["student"].distill[0]) == expected


def test_teachers_have_the_seeds_that_are_named(conf):
    config = conf("[[student.distill]]\nloss = 'frame_kl'\nteacher = 'teacher/seed1'")
    assert runs_of(config, [0, 1, 2]) == {"teacher": [0, 1], "student": [0, 1, 2], "student_plain": [0, 1, 2]}


def test_the_path_of_a_model_may_hold_what_looks_like_a_seed(conf):
    config = conf("[other]\nbase = 'teacher'\ninit.model = '../seeds/seed1/model'")
    assert runs_of(config, [0])["other"] == [0]


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        ("sets", ["train train", "dev dev", "test test"]),
        ("teachers", ["teacher 0 ."]),
        ("students", ["student 0 .", "student_plain 0 .", "student 1 .", "student_plain 1 ."]),
        ("soft_labels", ["teacher 0 train frame_topk"]),
    ],
)
def test_runs_are_listed(conf, what, lines):
    assert lines_of(conf(), [0, 1], what) == lines


@pytest.mark.parametrize("text", ["", "x", "0 0", "-1", "1.5", "0,1", "0 00 000", "²", "0 ²"])
def test_seeds_that_are_no_different_numbers_are_refused(text):
    with pytest.raises(UsageError, match="different numbers separated by spaces"):
        parse_seeds(text)


def test_students_that_teach_come_before_those_they_teach(conf):
    config = conf("[a]\nbase = 'student'\n[[a.distill]]\nloss = 'frame_kl'\nteacher = ['student/seed1', 'teacher']")
    assert lines_of(config, [0], "generations") == ["1", "2"]
    assert lines_of(config, [0], "teachers") == ["teacher 0 ."]
    first, second = (lines_of(config, [0], "students", number) for number in (1, 2))
    assert first == ["student 0 .", "student_plain 0 .", "student 1 ."] and second == ["a 0 ."]
    assert lines_of(config, [0], "soft_labels", 0) == ["teacher 0 train frame_topk"]
    assert lines_of(config, [0], "soft_labels", 1) == ["student 1 train frame_topk"]


def test_a_system_that_starts_from_a_student_comes_after_it_with_the_same_seed(conf):
    more = "[small]\nbase = 'student'\ndistill = []\ninit.model = 'student/seed*'\ntrain.updates = 0"
    config = conf(more)
    assert lines_of(config, [0, 2], "generations") == ["1", "2"]
    assert lines_of(config, [0, 2], "students", 2) == ["small 0 .", "small 2 ."]
    assert lines_of(config, [0, 2], "pretrained") == []
    folder = init_folder(config, config.systems["small"], Path("exp"), 2)
    assert folder == Path("exp/student/seed2")


def test_only_so_many_seeds_of_a_system_are_trained(conf):
    assert runs_of(conf(PHONE), [3, 4, 5])["phone"] == [3, 4]
    assert runs_of(conf(PHONE), [3, 4, 5])["phone_plain"] == [3, 4]


def test_a_distilled_system_is_compared_with_its_twin_and_its_controls(conf):
    config = conf(LONG, 'student.controls=["student_long"]')
    pairs = [("teacher", "student_plain", "student"), ("teacher", "student_long", "student")]
    assert pairs_of(config) == pairs
    assert sorted(all_systems(config)) == ["student", "student_long", "student_plain", "teacher"]


def test_a_system_without_a_teacher_is_compared_with_its_controls_alone(conf):
    config = conf(LONG, 'student_long.controls=["teacher"]')
    assert pairs_of(config)[1:] == [(None, "teacher", "student_long")]


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        ('"teacher/seed1"', ("teacher", [1])),
        ('["teacher", "teacher/seed2"]', ("teacher", [0, 2])),
        ('["student", "teacher/seed2"]', ("teacher", [0])),  # the student's own
    ],
)
def test_the_gap_is_that_to_the_teacher_that_is_named_or_to_its_own(conf, teacher, expected):
    config = conf(f"[other]\nbase = 'student'\n[[other.distill]]\nloss = 'frame_kl'\nteacher = {teacher}")
    assert reference_of(config, config.systems["other"]) == expected


def test_the_gap_is_that_to_a_teacher_that_writes(conf):
    silent = "[silent]\nmodel.encoder = 'lstm'\nheads.best_rq = {}\n"
    terms = "[[other.distill]]\nloss = 'hint'\nteacher = 'silent'\n[[other.distill]]\nloss = 'frame_kl'"
    config = conf(f"{silent}[other]\nbase = 'student'\n{terms}")
    assert reference_of(config, config.systems["other"]) == ("teacher", [0])


def test_systems_that_differ_in_their_terms_alone_share_a_twin(conf):
    config = conf("[other]\nbase = 'student'\n[[other.distill]]\nloss = 'frame_kl'\nweight = 0.9")
    assert sorted(all_systems(config)) == ["other", "student", "student_plain", "teacher"]
    assert pairs_of(config)[1] == ("teacher", "student_plain", "other")


def test_a_student_without_teacher_is_the_twin_of_those_that_differ_in_nothing_else(conf, tmp_path):
    conf()
    (tmp_path / "more.toml").write_text('[include]\nfile = "conf.toml"\nsystems = ["teacher", "student"]\n' + METHODS)
    config = load(tmp_path / "more.toml")
    assert pairs_of(config) == [
        ("teacher", "student", "student_plain_kl"),
        ("teacher", "student_longer_plain", "student_longer"),
    ]


def test_the_twin_of_one_that_starts_from_a_student_comes_after_it_too(conf):
    more = "[small]\nbase = 'student'\ninit.model = 'student/seed*'\ntrain.updates = 5"
    assert lines_of(conf(more), [0], "students", 2) == ["small 0 .", "small_plain 0 ."]


def test_a_second_teacher_that_a_filter_alone_names_is_trained_with_the_others(conf):
    hidden = "student.train.labelled_every=2"
    config = conf("[judge]\nbase = 'teacher'", hidden, "student.distill.0.filter.agree_with=judge")
    assert lines_of(config, [0], "teachers") == ["teacher 0 .", "judge 0 ."]
    assert "judge 0 train transcripts" in lines_of(config, [0], "soft_labels", 0)
