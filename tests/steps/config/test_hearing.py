import re
from types import SimpleNamespace

import pytest

from steps.config.systems import all_sets, soft_label_sets, trained_sets, variant_of
from steps.list_runs import lines_of
from steps.train import inputs_of
from tests.steps.config.examples import PHONE
from utils.jobs.errors import UsageError


@pytest.mark.parametrize("text", ["data.dev=test", 'data.test=["test", "test"]', 'data.unlabelled=["train"]'])
def test_a_set_has_one_role(conf, text):
    with pytest.raises(UsageError, match="must differ"):
        conf("", text)


def test_a_system_may_hear_sets_of_its_own(conf):
    config = conf(PHONE)
    assert config.systems["student"].data == config.data
    assert config.systems["phone"].data.train == "train_phone"
    assert all_sets(config) == {
        "train": "train",
        "train_phone": "train",
        "dev": "dev",
        "dev_phone": "dev",
        "test": "test",
        "test_phone": "test",
    }
    assert lines_of(config, [0], "decodings")[1] == "student 0 . dev test"
    assert "phone 0 . dev_phone test_phone" in lines_of(config, [0], "decodings")


def test_a_teacher_speaks_of_the_set_that_it_was_trained_on(conf):
    config = conf(PHONE)
    assert soft_label_sets(config, config.systems["phone"].distill[0], "teacher") == ["train"]
    assert lines_of(config, [0], "soft_labels") == ["teacher 0 train frame_topk"]


def test_a_live_teacher_of_another_set_is_refused(conf):
    with pytest.raises(UsageError, match="was not trained on 'train_phone' but on 'train'"):
        conf(PHONE + "[[phone.distill]]\nloss = 'frame_kl'\nsource = 'live'")


def test_a_set_has_one_role_in_all_systems(conf):
    with pytest.raises(UsageError, match=r"\[phone.data\] 'test' has two roles"):
        conf(PHONE, 'phone.data.dev="test"')


COPIES = """
[data]
test = ["test", "test_b"]
unlabelled = ["more_b"]
[features.a]
[features.b]
[copies]
base = "student"
data = { train = "train_a", dev = "dev_a", test = ["test_a"], unlabelled = ["more_a"] }
[first]
model.encoder = "lstm"
heads.best_rq = {}
data = { train = "more_a", dev = "dev_a", test = [] }
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("copies.data.unlabelled=['test_b']", "unlabelled: 'test_b' has the audio of 'test', whose role is test"),
        ("copies.data.unlabelled=['test_a_b']", "unlabelled: 'test_a_b' has the audio of 'test', whose role is test"),
        ("copies.data.unlabelled=['train_b']", "unlabelled: 'train_b' has the audio of 'train', whose role is train"),
        ("copies.data.dev='test_b'", "[copies.data] dev: 'test_b' has the audio of 'test', whose role is test"),
        ("data.unlabelled=['test_a']", "[data] unlabelled: 'test_a' has the audio of 'test', whose role is test"),
        ("first.data.train='test_a'", "[first.data] train: 'test_a' has the audio of 'test', whose role is test"),
    ],
)
def test_a_copy_for_other_features_has_the_role_of_its_set(conf, text, said):
    sets = all_sets(conf(COPIES))
    assert sets["more_a"] == sets["more_b"] == "unlabelled" and sets["test_a"] == sets["test_b"] == "test"
    with pytest.raises(UsageError, match=re.escape(said)):
        conf(COPIES, text)


def test_copies_for_other_features_have_one_role_where_their_set_has_none(conf):
    with pytest.raises(UsageError, match="'test_a' has the audio of 'test_b', whose role is test"):
        conf(COPIES, "data.test=['test_b']", "data.unlabelled=['test_a']")


def test_a_system_without_transcripts_may_be_trained_on_what_has_none(conf):
    text = "[first]\nmodel.encoder = 'lstm'\ndata.train = 'more'\nheads.best_rq = {}\n"
    for overrides in ((), ("data.unlabelled=['more']",)):
        config = conf(text, *overrides)
        assert all_sets(config)["more"] == "unlabelled" and all_sets(config)["train"] == "train"
        assert trained_sets(config) == ["train", "more"]
        assert lines_of(config, [0], "trained") == ["train", "more"]
    with pytest.raises(UsageError, match=r"\[first.data\] train: 'test' is a test set"):
        conf(text, "first.data.train='test'")


def test_a_training_reads_who_speaks_and_the_files_of_a_pretrained_encoder(conf, tmp_path):
    for path in ("data/train_wave/spk2age", "data/dev_wave/utt2age", "hub/config.json", "hub/model.safetensors"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    model = f'{{ encoder = "huggingface", model = "{tmp_path}/hub" }}'
    sets = "data = { train = 'train_wave', dev = 'dev_wave', test = ['test_wave'] }"
    wave = "[features.wave]\ntype = 'waveform'\n"
    config = conf(f"{wave}[first]\n{sets}\nmodel = {model}\n[first.heads.age]\ntype = 'classifier'")
    data = tmp_path / "data"
    inputs = inputs_of(config, config.systems["first"], 0, data, data / "lang", tmp_path / "exp")
    assert {tmp_path / "hub/config.json", tmp_path / "hub/model.safetensors"} <= set(inputs)
    assert data / "train_wave/utt2spk" in inputs and data / "dev_wave/utt2spk" not in inputs


def test_in_a_second_round_a_teacher_may_hear_without_the_noise_it_was_trained_in(conf):
    noisy = "data.train = 'train_noisy'\n[[{0}.distill]]\nloss = 'frame_kl'\n"
    first = f"[first]\nbase = 'student'\n{noisy.format('first')}"
    second = f"[second]\nbase = 'student'\n{noisy.format('second')}teacher = 'first'\n"
    for more, expected in (("", "train_noisy"), ("teacher_sets = ['train']", "train")):
        config = conf(first + second + more)
        assert soft_label_sets(config, config.systems["second"].distill[0], "first") == [expected]


def test_a_denoiser_is_told_at_once_which_set_has_no_clean_one(conf):
    noisy = "[a]\nbase = 'student'\ndata = { train = 'train_noisy', dev = 'dev_noisy', test = ['test_noisy'] }\n"
    noisy += "heads = { ctc = {}, autoencoder = { clean = '_noisy' } }\n"
    noisy += "distill = [{ loss = 'frame_kl', sets = ['train_noisy', 'extra'] }]\n[data]\nunlabelled = ['extra']\n"
    with pytest.raises(UsageError, match=r"\[a\] clean = '_noisy': the set 'extra' is not called so"):
        conf(noisy)


def test_the_longest_name_of_features_that_a_set_ends_in_is_its_own():
    config = SimpleNamespace(variants={"tel": None, "fast_tel": None})
    assert [variant_of(config, name) for name in ("train_fast_tel", "train_tel", "train")] == ["fast_tel", "tel", ""]
