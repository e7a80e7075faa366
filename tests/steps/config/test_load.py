import re
import tomllib
from typing import Literal

import pytest

from steps.config.load import TOP, load
from steps.config.signature import settings_of
from steps.config.systems import all_systems, check_decoding
from steps.config.types import NaturalInt, PositiveFloat
from steps.list_runs import tuning_lines
from tests.steps.config.examples import BASE
from tests.support import ROOT
from utils.jobs.errors import UsageError


def test_a_corpus_that_is_no_table_is_refused(conf):
    with pytest.raises(UsageError, match=r"corpus = 3: \[corpus\] is not a table"):
        conf(base=f"corpus = 3\n{BASE}")


RECIPES = sorted((ROOT / "egs").glob("*/conf*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_configurations_of_each_recipe_load(path):
    config = load(path)
    assert all_systems(config)
    for name, system in config.systems.items():
        if system.tune and system.distill:
            assert tuning_lines(lambda point: load(path, point), [0], "students", name)


SNIPPETS = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_what_the_readme_shows_loads(conf, tmp_path, snippet):
    """Systems that a snippet shows in part get a model."""
    shown = tomllib.loads(snippet)
    if "include" in shown:
        conf()
        (tmp_path / "more.toml").write_text(snippet + "[student]\ndistill = []")
        assert len(load(tmp_path / "more.toml").systems) == 4
        return
    systems = [name for name in {"teacher": {}, "student": {}} | shown if name not in TOP]
    partial = [name for name in systems if not {"model", "base"} & shown.get(name, {}).keys()]
    config = conf(snippet, base="".join(f"[{name}.model]\nencoder = 'lstm'\n" for name in partial))
    check_decoding(config)
    for name, system in config.systems.items():
        if system.tune and system.distill:
            assert tuning_lines(lambda point: config, [0], "students", name)
    assert set(config.systems) == set(systems)


def test_defaults_complete_what_a_recipe_leaves_out(conf):
    config = conf()
    assert config.data.test == ["test"] and config.features.num_mel_bins == 80
    assert config.systems["student"].train.updates == 2000
    assert config.systems["student"].model == {
        "encoder": "lstm",
        "dim": 16,
        "num_layers": 1,
        "bidirectional": False,
        "subsampling": 4,
        "layer_norm": False,
        "dropout": 0.1,
        "mean_norm": "none",
    }


def test_the_settings_of_a_loss_are_completed(conf):
    term = conf().systems["student"].distill[0]
    assert term.settings == {
        "divergence": "forward",
        "temperature": 2.0,
        "blank": "keep",
        "delay_frames": 0,
        "top_k": 0,
    }
    assert isinstance(term.settings["temperature"], float)


def test_a_configuration_that_is_missing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such configuration"):
        load(tmp_path / "conf.toml")


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("student.model.dim=32", lambda c: c.systems["student"].model["dim"] == 32),
        ("student.train.lr=1", lambda c: c.systems["student"].train.lr == 1.0),
        ("student.distill.0.weight=0", lambda c: c.systems["student"].distill[0].weight == 0.0),
        ("student.distill.0.blank=drop", lambda c: c.systems["student"].distill[0].settings["blank"] == "drop"),
        ('data.test=["a", "b"]', lambda c: c.data.test == ["a", "b"]),
        ("data.train=train_clean", lambda c: c.data.train == "train_clean"),
        ("score.unit=char", lambda c: c.score.unit == "char"),
        ("corpus.split=unseen", lambda c: c.corpus == {"split": "unseen"}),
    ],
)
def test_set_overrides_one_setting(conf, override, read):
    assert read(conf("", override))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("student.model.dim", "not of the form table.key=value"),
        ("dim=3", "not of the form table.key=value"),
        ("student.distill.weight=0", "name the number of the term"),
        ("student.distill.1.weight=0", "there is no term 1; there are 1, from 0"),
        ("student.distill.x.weight=0", "there is no term x"),
        ("student.model.dim.x=0", "'dim' is a value, not a table"),
        ("student.model.dims=3", "student.model has no setting 'dims'; valid: dim"),
        ("studnet.model.dim=3", "studnet"),
    ],
)
def test_a_wrong_override_is_a_usage_error(conf, override, said):
    with pytest.raises(UsageError, match=said):
        conf("", override)


@pytest.mark.parametrize("text", ["studnt.model.dim=3", "studnt.train.updates=3"])
def test_a_mistyped_system_of_an_override_is_named(conf, text):
    with pytest.raises(UsageError, match="has no system 'studnt'; valid: student, "):
        conf("", text)


def test_settings_are_read_from_the_source():
    found = settings_of(ROOT / "steps" / "losses" / "frame_kl.py", "frame_kl")
    assert {key: (s.type, s.default) for key, s in found.items()} == {
        "divergence": (Literal["forward", "reverse", "jensen_shannon"], "forward"),
        "temperature": (PositiveFloat, 1.0),
        "blank": (Literal["keep", "drop", "either"], "keep"),
        "delay_frames": (NaturalInt, 0),
        "top_k": (NaturalInt, 0),
    }


def test_one_grid_student_is_changed_alone(conf, tmp_path):
    conf()
    term = '{ loss = "frame_kl", teacher = "other" }'
    methods = f'students = ["student", "teacher"]\nmethods.kl = {{ distill = [{term}] }}\n'
    more = '[include]\nfile = "conf.toml"\nsystems = ["teacher", "student"]\n[other]\nbase = "teacher"\n[grid]\n'
    (tmp_path / "more.toml").write_text(more + methods)
    systems = load(tmp_path / "more.toml", ["student_kl.distill.0.weight=0.1"]).systems
    assert (systems["student_kl"].distill[0].weight, systems["teacher_kl"].distill[0].weight) == (0.1, 0.5)


HEIR = """
[las]
base = "teacher"
heads = { las = { weight = 0.7, dim = 24 }, ctc = { weight = 0.3 } }
soft_labels.decode = { decoder = "beam", beam_size = 8, nbest = 4 }
[heir]
base = "las"
[other]
base = "student"
"""


def test_an_override_of_an_heir_changes_one_value_of_what_it_inherits(conf):
    heir = conf(HEIR, "heir.heads.ctc.weight=0.5").systems["heir"]
    assert list(heir.heads) == ["las", "ctc"] and (heir.heads["las"]["dim"], heir.heads["ctc"]["weight"]) == (24, 0.5)
    decode = conf(HEIR, "heir.soft_labels.decode.beam_size=16").systems["heir"].soft_labels.decode
    assert (decode.decoder, decode.beam_size, decode.nbest) == ("beam", 16, 4)
    changed = conf(HEIR, "other.distill.0.weight=0.3").systems
    assert [changed[name].distill[0].weight for name in ("other", "student")] == [0.3, 0.5]
    assert list(conf(HEIR, "heir.heads={ctc={}}").systems["heir"].heads) == ["ctc"]
    written = conf(f"{HEIR}[heir.soft_labels.decode]\nbeam_size = 16\n".replace('[other]\nbase = "student"\n', ""))
    assert written.systems["heir"].soft_labels.decode.decoder == "beam"
