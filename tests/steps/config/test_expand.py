import re

import pytest

from steps.config.load import load
from tests.steps.config.examples import BASE, METHODS
from utils.jobs.errors import UsageError


def test_base_is_inherited_and_overlaid(conf):
    config = conf("[small]\nbase = 'student'\n[small.model]\ndim = 8\n[small.train]\nlr = 0.5")
    small, student = config.systems["small"], config.systems["student"]
    assert small.model == {**student.model, "dim": 8}
    assert (small.train.lr, small.train.updates) == (0.5, student.train.updates)
    assert small.distill == student.distill


def test_a_base_may_have_a_base(conf):
    table = "base = 'student'\ncontrols = ['student']\nmodel.dim = 8\ntrain.lr = 0.5"
    config = conf(f"[small]\n{table}\n[smaller]\nbase = 'small'\nmodel.dim = 4")
    small, smaller = config.systems["small"], config.systems["smaller"]
    assert smaller.model == {**small.model, "dim": 4}
    assert (smaller.train, smaller.distill, list(smaller.controls)) == (small.train, small.distill, [])


def test_distillation_terms_replace_those_of_the_base(conf):
    config = conf("[small]\nbase = 'student'\n[[small.distill]]\nloss = 'frame_kl'\nweight = 0.9")
    assert [term.weight for term in config.systems["small"].distill] == [0.9]


def test_a_system_with_another_encoder_takes_over_nothing_of_its_bases_model(conf):
    other = conf('[other]\nbase = "student"\nmodel.encoder = "dnn"\nmodel.dim = 7').systems["other"].model
    assert other == {**other, "encoder": "dnn", "dim": 7, "num_layers": 4} and "layer_norm" not in other
    wider = conf('[other]\nbase = "student"\nmodel.dim = 7').systems["other"].model
    assert (wider["encoder"], wider["dim"], wider["num_layers"]) == ("lstm", 7, 1)


def test_heads_are_taken_over_or_replaced_whole(conf):
    text = '[first]\nmodel.encoder = "lstm"\n[first.heads.las]\n[first.heads.ctc]\n[second]\nbase = "first"\n'
    assert list(conf(text).systems["second"].heads) == ["las", "ctc"]
    assert list(conf(text + "[second.heads.hmm]").systems["second"].heads) == ["hmm"]


def test_a_configuration_lies_over_the_one_it_includes(conf, tmp_path):
    conf()
    (tmp_path / "more.toml").write_text(
        '[include]\nfile = "conf.toml"\nsystems = ["teacher", "student"]\n'
        "[features]\nnum_mel_bins = 40\n[teacher.train]\nlr = 0.01\n" + METHODS
    )
    config = load(tmp_path / "more.toml", ["student_longer.train.lr=0.5"])
    assert (config.features.sample_rate_hz, config.features.num_mel_bins) == (8000, 40)
    assert (config.systems["teacher"].train.updates, config.systems["teacher"].train.lr) == (10, 0.01)
    assert set(config.systems) == {"teacher", "student", "student_plain_kl", "student_longer"}
    longer = config.systems["student_longer"]
    assert (longer.train.updates, longer.train.lr, longer.distill[0].loss) == (20, 0.5, "hint")
    assert longer.model == config.systems["student"].model


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[include]\nfile = "no.toml"', "no.toml: no such configuration"),
        ('[include]\nfile = "conf.toml"\nsystem = []', "[include] has no setting 'system'; valid: systems, file"),
        ('[include]\nfile = "conf.toml"\nsystems = ["techer"]', "conf.toml has no system 'techer'; valid: teacher"),
        ("[include]\nfile = 3", "include.file = 3: not of type str"),
        ('[include]\nfile = "more.toml"', "which includes another itself; one level only"),
        (BASE + '[grid]\nstudents = ["studnt"]', "grid.students: no system 'studnt'; valid: student"),
        (BASE + "[grid]\nstudents = 'student'", "grid.students = 'student': not of type list[str]"),
        (BASE + "[grid]\nstudents = ['student']\nmethods.a = 3", "[grid.methods.a]: [student_a] needs a table"),
        (BASE + "[student_a]\nbase = 'teacher'\n[grid]\nstudents = ['student']\nmethods.a = {}", "is there already"),
        (BASE + "[grid]\nmethod.a = {}", "[grid] has no setting 'method'; valid: methods"),
    ],
)
def test_faults_of_includes_and_grids_are_usage_errors(conf, tmp_path, text, said):
    conf()
    (tmp_path / "more.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(said)):
        load(tmp_path / "more.toml")
