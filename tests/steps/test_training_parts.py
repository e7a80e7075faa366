import dataclasses
import math
import random
from types import SimpleNamespace

import pytest
import torch

from steps.config.schema import DataConfig, SpecAugmentConfig, SystemConfig, TrainConfig
from steps.heads.ctc import CtcHead
from steps.tokens.token_table import TokenTable
from steps.training.batching import BatchSampler, make_batches
from steps.training.checkpoints import Checkpoints, optimizer_tensors, restore_optimizer
from steps.training.examples import (
    Example,
    hidden_speech,
    hide_transcripts,
    labelled_part,
    outside_fold,
    read_examples,
    training_examples,
)
from steps.training.head_labels import labels_for, with_other_tokens
from steps.training.heard import unlabelled_examples
from steps.training.ranks import Ranks
from steps.training.reports import to_events
from steps.training.schedule import learning_rate
from steps.training.spec_augment import SpecAugment, mel, spans, warping
from tests.support import write_data_dir
from utils.jobs.errors import DataError, StaleError


def examples(count):
    generator = random.Random(0)
    return [Example(f"a-{i:03}", "", generator.randint(20, 200), (1,)) for i in range(count)]


def ids(batches):
    return [[e.utt_id for e in batch] for batch in batches]


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_holds_each_utterance_once(epoch):
    found = [u for batch in ids(make_batches(examples(101), 600, 0, epoch)) for u in batch]
    assert sorted(found) == [e.utt_id for e in examples(101)]


def test_batches_are_bound_by_frames_with_padding():
    batches = make_batches(examples(101), 600, 0, 0)
    assert all(max(e.num_frames for e in batch) * len(batch) <= 600 for batch in batches)
    assert len(batches) < 40


def test_the_parts_of_a_batch_are_as_large_as_one_another():
    for parts in (2, 3):
        batches = make_batches(examples(100), 600, 0, 0, parts=parts)
        assert all(max(e.num_frames for e in batch) * len(batch) <= 600 for batch in batches)
        uneven = [len(batch) for batch in batches if len(batch) % parts]
        assert sum(uneven) == 100 % parts
        assert sorted(u for batch in ids(batches) for u in batch) == [e.utt_id for e in examples(100)]


def test_an_utterance_longer_than_a_batch_stands_alone():
    batches = make_batches([Example("a", "", 1000, (1,)), Example("b", "", 10, (1,))], 100, 0, 0)
    assert sorted(ids(batches)) == [["a"], ["b"]]


def test_batches_depend_on_seed_and_epoch_alone():
    reference = ids(make_batches(examples(50), 600, 3, 2))
    random.seed(9)
    assert ids(make_batches(examples(50), 600, 3, 2)) == reference
    assert ids(make_batches(examples(50), 600, 4, 2)) != reference
    assert ids(make_batches(examples(50), 600, 3, 1)) != reference


def test_a_restored_sampler_goes_on_with_the_same_batches():
    sampler = BatchSampler(examples(30), 600, 0)
    for _ in range(len(sampler.batches) + 2):  # into the second epoch
        sampler.next()
    state = sampler.state()
    expected = ids([sampler.next() for _ in range(9)])
    other = BatchSampler(examples(30), 600, 0)
    other.restore(state)
    assert ids([other.next() for _ in range(9)]) == expected


def test_a_curriculum_goes_from_short_utterances_to_long_ones():
    sampler = BatchSampler(examples(60), 600, 0, curriculum_epochs=1)
    longest = [max(e.num_frames for e in sampler.next()) for _ in range(len(sampler.batches))]
    assert all(a <= 1.12 * b for a, b in zip(longest, longest[1:], strict=False))  # lengths are jittered by a tenth
    assert ids([sampler.next() for _ in range(5)]) == ids(BatchSampler(examples(60), 600, 0).batches_of(1)[:5])


def test_the_end_of_an_epoch_is_when_all_was_seen():
    sampler = BatchSampler(examples(30), 600, 0)
    seen = []
    while not sampler.is_epoch_end:
        seen += sampler.next()
    assert len(seen) == 30 and sampler.epoch == 0


SETTINGS = SpecAugmentConfig(
    num_freq_masks=2, max_freq_bins=3, num_time_masks=2, max_time_frames=10, max_time_share=0.2
)


def masked(seed, settings=SETTINGS, lengths=(40, 20, 5)):
    torch.manual_seed(seed)
    feats = torch.ones(len(lengths), 40, 12)
    out = SpecAugment(settings)(feats, torch.tensor(lengths))
    assert feats.min() == 1  # the input is left alone
    return out


def test_masks_are_within_their_limits():
    for seed in range(50):
        out = masked(seed)
        for row, length in zip(out, (40, 20, 5), strict=True):
            is_time_masked = (row[:length] == 0).all(1)
            assert is_time_masked.sum() <= 2 * min(10, int(0.2 * length))
            open_frames = row[:length][~is_time_masked]
            assert (open_frames == 0).all(0).sum() <= 6


def test_masks_occur():
    zeros = sum(float((masked(seed) == 0).float().mean()) for seed in range(50)) / 50
    assert 0.1 < zeros < 0.6


def test_masks_differ_between_utterances():
    torch.manual_seed(0)
    out = SpecAugment(SETTINGS)(torch.ones(20, 40, 12), torch.full((20,), 40))
    assert len({tuple(map(tuple, row.tolist())) for row in out}) > 10


def test_masks_depend_on_the_seed_alone():
    assert torch.equal(masked(1), masked(1)) and not torch.equal(masked(1), masked(2))


def test_a_bin_is_masked_with_its_deltas():
    settings = dataclasses.replace(SETTINGS, num_time_masks=0)
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        out = SpecAugment(settings, num_bins=4)(torch.ones(3, 40, 12), torch.tensor([40, 20, 5]))
        static, delta, delta_of_delta = out.split(4, dim=2)
        assert torch.equal(static, delta) and torch.equal(static, delta_of_delta)
        seen |= {int((row[0] == 0).sum()) for row in static}
    assert {0, 3, 4} <= seen


def test_without_masks_features_stay():
    assert masked(0, SpecAugmentConfig(num_freq_masks=0, num_time_masks=0)).min() == 1


def test_a_warp_by_1_changes_nothing():
    assert torch.allclose(warping(torch.tensor([1.0]), 80, (20.0, 7600.0))[0], torch.eye(80), atol=1e-3)


@pytest.mark.parametrize("factor", [0.85, 0.95, 1.1, 1.2])
def test_a_warp_multiplies_frequencies_up_to_the_knee(factor):
    low, high = 20.0, 7600.0
    mels = torch.linspace(float(mel(torch.tensor(low))), float(mel(torch.tensor(high))), 82)[1:-1]
    hz = 700 * torch.expm1(mels / 1127)
    weights = warping(torch.tensor([factor]), 80, (low, high))[0]
    assert torch.allclose(weights.sum(1), torch.ones(80), atol=1e-4) and weights.min() >= 0
    heard = weights @ mels  # interpolated on the mel scale
    inner = (hz * factor > hz[0]) & (hz * factor < 0.6 * high) & (hz < 0.6 * high)
    assert inner.sum() > 40
    assert torch.allclose(heard[inner], mel(hz * factor)[inner], atol=0.5)
    assert (heard.diff() > -1e-3).all() and float(heard[-1]) == pytest.approx(float(mels[-1]), abs=40)


def test_a_warp_leaves_frames_apart_and_warps_deltas_alike():
    settings = SpecAugmentConfig(num_freq_masks=0, num_time_masks=0, max_freq_warp=0.2)
    feats = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    both = torch.cat((feats, feats), -1)  # static features and deltas
    out = SpecAugment(settings, 8, (20.0, 3600.0))(both, torch.tensor([5, 3]))
    assert torch.equal(out[..., :8], out[..., 8:]) and not torch.equal(out[..., :8], feats)
    torch.manual_seed(0)
    changed = both.clone()
    changed[:, 2] = 0
    again = SpecAugment(settings, 8, (20.0, 3600.0))(changed, torch.tensor([5, 3]))
    same = (again == out).all(-1)
    assert not same[:, 2].any() and same[:, [0, 1, 3, 4]].all()


def test_spans_lie_within_their_rows():
    torch.manual_seed(0)
    found = spans(torch.tensor([5, 0, 9]).repeat(200), torch.tensor([3, 0, 9]).repeat(200), 1, 10)
    assert not found[0::3, 5:].any() and not found[1::3].any() and not found[2::3, 9:].any()
    assert found[0::3].sum(1).max() == 3 and found[2::3].sum(1).max() == 9


@pytest.mark.parametrize(
    ("update", "rate"),
    [
        (0, 0.1),
        (4, 0.5),
        (9, 1.0),
        (10, 1.0),
        (60, 0.55),
        (110, 0.1),
        (35, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))),
    ],
)
def test_the_learning_rate_warms_up_and_decays(update, rate):
    settings = TrainConfig(updates=110, lr=1.0, warmup_updates=10, final_lr=0.1)
    assert learning_rate(update, settings) == pytest.approx(rate)


def test_the_learning_rate_without_warm_up_begins_at_its_peak():
    assert learning_rate(0, TrainConfig(updates=10, lr=0.5, warmup_updates=0)) == 0.5


TABLE = TokenTable(("<blk>", "a", "b"), "word")


@pytest.fixture
def data_dir(tmp_path):
    def write(text, frames):
        (tmp_path / "text").write_text(text)
        utts = sorted(frames)
        (tmp_path / "feats.scp").write_text("".join(f"{u} x.ark:1\n" for u in utts))
        (tmp_path / "utt2num_frames").write_text("".join(f"{u} {frames[u]}\n" for u in utts))
        return tmp_path

    return write


def quarter(num_frames):
    return -(-num_frames // 4)


def test_examples_hold_tokens_and_frames(data_dir):
    found, faults = read_examples(data_dir("u-1 a b\n", {"u-1": 9}), TABLE)
    assert (found, faults) == ([Example("u-1", "x.ark:1", 9, (1, 2), "a b")], {})


def test_an_utterance_that_is_too_short_is_refused_with_its_frames(data_dir):
    folder = data_dir("u-1 a a\nu-2 a b\n", {"u-1": 8, "u-2": 8})
    with pytest.raises(DataError, match=r"'u-1': too short: 2 frames for tokens that need 3 \(1 of 2"):
        training_examples(folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig())


def test_utterances_that_are_too_short_are_dropped_as_far_as_allowed(data_dir):
    folder = data_dir("u-1 a a\nu-2 a b\n", {"u-1": 8, "u-2": 8})
    found = training_examples(folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig(max_too_short=0.5))
    assert [e.utt_id for e in found.kept] == ["u-2"]
    assert found.dropped == {"u-1": "too short: 2 frames for tokens that need 3"}


def test_an_utterance_that_is_too_long_is_refused_with_its_frames(data_dir):
    folder = data_dir("u-1 a\nu-2 b\n", {"u-1": 101, "u-2": 100})
    with pytest.raises(DataError, match=r"'u-1': too long: 101 frames, train.max_frames is 100 \(1 of 2"):
        training_examples(folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig(max_frames=100))


def test_utterances_that_are_too_long_are_dropped_as_far_as_allowed(data_dir):
    folder = data_dir("u-1 a\nu-2 b\n", {"u-1": 101, "u-2": 100})
    found = training_examples(
        folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig(max_frames=100, max_too_long=0.5)
    )
    assert [e.utt_id for e in found.kept] == ["u-2"] and list(found.dropped) == ["u-1"]


def test_only_every_nth_speaker_keeps_transcripts(tmp_path):
    found = [Example(f"{speaker}-1", "", 9, (1,), "a") for speaker in "cabd"]
    (tmp_path / "utt2spk").write_text("".join(f"{s}-1 {s}\n" for s in "abcd"))
    hidden = hide_transcripts(found, tmp_path, 3)
    assert [(e.utt_id, e.tokens, e.text) for e in hidden] == [
        ("c-1", None, ""),
        ("a-1", (1,), "a"),
        ("b-1", None, ""),
        ("d-1", (1,), "a"),
    ]


def test_hidden_transcripts_are_hidden_from_heads_with_tokens_of_their_own(tmp_path):
    found = [Example(f"{speaker}-1", "", 9, (1,), "a", others={"letters": (2,)}) for speaker in "ab"]
    (tmp_path / "utt2spk").write_text("a-1 a\nb-1 b\n")
    hidden = hide_transcripts(found, tmp_path, 2)
    assert [labels_for("letters", None, [e])[0] for e in hidden] == [(2,), None]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (TrainConfig(labelled_every=2), ["b-1", "d-1"]),
        (TrainConfig(labelled_every=2, labelled_only=True), []),
        (TrainConfig(labelled_every=2, folds=3), ["b-1"]),  # of whom a and d are left out
    ],
)
def test_the_hidden_transcripts_are_those_of_utterances_that_are_heard(tmp_path, settings, expected):
    folder = tmp_path / "train"
    folder.mkdir()
    for name, value in (("utt2spk", "{}"), ("text", "said"), ("utt2dur", "2")):
        (folder / name).write_text("".join(f"{s}-1 {value.format(s)}\n" for s in "abcd"))
    system = SimpleNamespace(train=settings, data=SimpleNamespace(train="train"))
    assert hidden_speech(system, [], tmp_path) == (dict.fromkeys(expected, 2.0), dict.fromkeys(expected, "said"))


@pytest.mark.parametrize("tokens", [(1,), None])  # None: of a system that reads no transcripts
def test_only_every_nth_speaker_is_left(tmp_path, tokens):
    found = [Example(f"{speaker}-1", "", 9, tokens) for speaker in "cabd"]
    (tmp_path / "utt2spk").write_text("".join(f"{s}-1 {s}\n" for s in "abcd"))
    left = labelled_part(found, tmp_path, TrainConfig(labelled_every=3, labelled_only=True))
    assert [e.utt_id for e in left] == ["a-1", "d-1"]


@pytest.mark.parametrize(
    ("speakers", "settings"), [("abcd", TrainConfig(folds=2, labelled_every=2)), ("a", TrainConfig(folds=4))]
)
def test_a_fold_that_leaves_out_all_that_is_labelled_is_refused(tmp_path, speakers, settings):
    (tmp_path / "utt2spk").write_text("".join(f"{s}-1 {s}\n" for s in speakers))
    found = hide_transcripts([Example(f"{s}-1", "", 9, (1,)) for s in speakers], tmp_path, settings.labelled_every)
    with pytest.raises(DataError, match="leave nothing to learn from; they take more speakers"):
        outside_fold(found, tmp_path, settings)


def spelt(tmp_path, texts, settings, hidden=()):
    """What a head with letters of its own learns of utterances of three frames."""
    (tmp_path / "text_letters").write_text("".join(f"{u} {text}\n" for u, text in texts.items()))
    found = [Example(u, "", 3, None if u in hidden else (1,)) for u in ("u-1", "u-2", "u-3")]
    heads, tables = {"letters": {"tokens": "letters"}}, {"letters": TokenTable(("<blk>", "a", "b"), "char")}
    examples = with_other_tokens(found, tmp_path, heads, tables, lambda _, tokens, n: len(tokens) <= n, settings)
    return [e.others["letters"] for e in examples]


def test_what_a_head_with_its_own_tokens_cannot_learn_is_refused_or_listed(tmp_path, capsys):
    texts = {"u-1": "ab", "u-2": "a", "u-3": "b"}
    assert spelt(tmp_path, texts, TrainConfig()) == [(1, 2), (1,), (2,)]
    for fault, said, allowed in (
        ("abab", "utterance 'u-2': too short for 4 tokens", "max_too_short"),
        ("x", "utterance 'u-2': holds a token that is not in lang_letters", "max_unk"),
    ):
        with pytest.raises(DataError, match=f"text_letters: {said}.*1 of 3 .*train.{allowed}"):
            spelt(tmp_path, texts | {"u-2": fault}, TrainConfig())
        for settings in (TrainConfig(**{allowed: 0.4}), None):  # None: dev
            assert spelt(tmp_path, texts | {"u-2": fault}, settings) == [(1, 2), None, (2,)]
        assert spelt(tmp_path, texts | {"u-2": fault}, TrainConfig(), hidden=["u-2"]) == [(1, 2), None, (2,)]
    capsys.readouterr()
    assert spelt(tmp_path, {"u-1": "a"}, TrainConfig()) == [(1,), None, None]
    told = capsys.readouterr().err
    assert "2 of 3 utterances teach nothing to the head letters" in told and "not learnt 'u-3': no transcript" in told


def test_a_speaker_at_another_speed_keeps_transcripts_too(tmp_path):
    found = [Example(utt_id, "", 9, (1,), "a") for utt_id in ("a-1", "b-1", "sp0.9-a-1", "sp0.9-b-1")]
    (tmp_path / "utt2spk").write_text("a-1 a\nb-1 b\nsp0.9-a-1 sp0.9-a\nsp0.9-b-1 sp0.9-b\n")
    (tmp_path / "utt2uniq").write_text("a-1 a-1\nb-1 b-1\nsp0.9-a-1 a-1\nsp0.9-b-1 b-1\n")
    assert [e.utt_id for e in hide_transcripts(found, tmp_path, 2) if e.tokens] == ["a-1", "sp0.9-a-1"]


def test_a_speaker_is_one_person_at_all_speeds(tmp_path):
    ids = [f"sp{speed}-{speaker}-1" for speed in ("0.9", "1.1") for speaker in "ab"]
    (tmp_path / "utt2spk").write_text("".join(f"{u} {u[:-2]}\n" for u in ids))
    (tmp_path / "utt2uniq").write_text("".join(f"{u} {u.partition('-')[2]}\n" for u in ids))
    found = [Example(utt_id, "", 9, (1,), "a") for utt_id in ids]
    assert [e.utt_id for e in hide_transcripts(found, tmp_path, 2) if e.tokens] == ["sp0.9-a-1", "sp1.1-a-1"]


def test_an_empty_transcript_is_dropped_and_counted(data_dir):
    found = training_examples(
        data_dir("u-1\nu-2 a\n", {"u-1": 8, "u-2": 8}), TABLE, quarter, CtcHead.frames_needed, TrainConfig()
    )
    assert found.dropped == {"u-1": "empty transcript"}


def test_an_unknown_token_is_refused_with_its_line(data_dir):
    folder = data_dir("u-1 a\nu-2 c\n", {"u-1": 8, "u-2": 8})
    with pytest.raises(DataError, match="text:2: utterance 'u-2' holds a token that is not in tokens.txt"):
        training_examples(folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig())


def test_unknown_tokens_are_dropped_as_far_as_allowed_and_counted_by_utterance(data_dir):
    folder = data_dir("u-1 a\nu-2 c\n", {"u-1": 8, "u-2": 8})
    assert list(training_examples(folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig(max_unk=0.5)).dropped) == [
        "u-2"
    ]


def test_what_a_hidden_transcript_says_chooses_nothing(data_dir):
    folder = data_dir("u-1 a\nv-1 c\nw-1\n", {"u-1": 8, "v-1": 8, "w-1": 8})
    (folder / "utt2spk").write_text("u-1 u\nv-1 v\nw-1 w\n")
    found = training_examples(folder, TABLE, quarter, CtcHead.frames_needed, TrainConfig(labelled_every=3))
    assert [(e.utt_id, e.tokens) for e in found.kept] == [("u-1", (1,)), ("v-1", None), ("w-1", None)]
    assert found.dropped == {}


def test_features_without_transcript_are_refused(data_dir):
    with pytest.raises(DataError, match="utterance 'u-2' has features but no transcript"):
        training_examples(
            data_dir("u-1 a\n", {"u-1": 8, "u-2": 8}), TABLE, quarter, CtcHead.frames_needed, TrainConfig()
        )


def test_nothing_to_train_on_is_refused(data_dir):
    with pytest.raises(DataError, match="no utterance is left to train on"):
        training_examples(data_dir("u-1\n", {"u-1": 8}), TABLE, quarter, CtcHead.frames_needed, TrainConfig())


def test_parts_of_a_batch_are_the_same_for_one_process_and_two():
    items = list(range(7))
    alone = Ranks().parts(items, 2)
    shared = [Ranks(rank, 2).parts(items, 2)[0] for rank in (0, 1)]
    assert alone == shared == [(0, [0, 2, 4, 6]), (1, [1, 3, 5])]


def test_a_weight_without_a_gradient_in_any_process_keeps_none(monkeypatch):
    """Else an optimiser would move it, as it does not in one process."""
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda x: x.mul_(2))  # the other has the same
    model = torch.nn.ModuleList(torch.nn.Linear(2, 1) for _ in range(3))
    model[2].requires_grad_(False)
    model[0](torch.ones(1, 2)).sum().backward()
    Ranks(0, 2).sum_gradients(model)
    assert model[0].weight.grad.tolist() == [[2.0, 2.0]]
    assert [p.grad for part in model[1:] for p in part.parameters()] == [None] * 4


def small_model():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def take_step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()


def test_a_restored_optimizer_takes_the_same_step():
    model, optimizer = small_model()
    take_step(model, optimizer)
    kept = {k: v.clone() for k, v in optimizer_tensors(optimizer).items()}
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    take_step(model, optimizer)
    other, other_optimizer = small_model()
    other.load_state_dict(weights)
    restore_optimizer(other_optimizer, kept)
    take_step(other, other_optimizer)
    assert torch.equal(other.weight, model.weight) and torch.equal(other.bias, model.bias)


@pytest.fixture
def checkpoints(tmp_path):
    found = Checkpoints(tmp_path / "checkpoints")
    for update in (3, 9, 12):
        found.save(update, {"w": torch.full((2,), float(update))}, {"update": update})
    return found


def test_the_latest_two_states_are_kept(checkpoints):
    assert sorted(p.name for p in checkpoints.folder.iterdir()) == ["resume-12.safetensors", "resume-9.safetensors"]


def test_the_latest_state_is_found(checkpoints):
    tensors, facts = checkpoints.latest()
    assert (tensors["w"].tolist(), facts) == ([12.0, 12.0], {"update": 12})


def test_without_a_state_there_is_none(tmp_path):
    assert Checkpoints(tmp_path).latest() is None


@pytest.mark.parametrize("change", [lambda d: b"", lambda d: d[:50], lambda d: d[:-1], lambda d: d[:-1] + b"\xff"])
def test_a_damaged_latest_state_is_refused_and_training_never_begins_anew(checkpoints, change):
    path = checkpoints.folder / "resume-12.safetensors"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StaleError, match="resume-12.*delete it to go on from resume-9.safetensors, or train anew"):
        checkpoints.latest()


def test_a_damaged_only_state_is_refused(checkpoints):
    (checkpoints.folder / "resume-9.safetensors").unlink()
    (checkpoints.folder / "resume-12.safetensors").write_bytes(b"")
    with pytest.raises(StaleError, match="train anew with --force"):
        checkpoints.latest()


def test_models_are_averaged(checkpoints):
    for update in (3, 4, 8):
        checkpoints.save_model(update, {"w": torch.tensor([update, 1.0])})
    checkpoints.keep_models({4, 8})
    assert checkpoints.average([8, 4])["w"].tolist() == [6.0, 1.0]
    assert not (checkpoints.folder / "model-3.safetensors").exists()


def test_tensorboard_reads_the_history_and_what_is_added_to_it(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def line(update):
        return {"epoch": 1, "update": update, "dev_ctc": update / 2, "seconds": 3.0 * update}

    path = tmp_path / "events.out.tfevents.retort"
    path.write_bytes(to_events([line(1)]))
    board = EventAccumulator(str(path)).Reload()
    path.write_bytes(to_events([line(1), line(2)]))
    found = board.Reload().Scalars("dev_ctc")
    assert [(x.step, x.value, x.wall_time) for x in found] == [(1, 0.5, 3.0), (2, 1.0, 6.0)]


def test_what_is_heard_without_a_transcript_is_drawn_clean_too(tmp_path):
    data = DataConfig("train_noisy", "dev_noisy", ["test_noisy"])
    system = SystemConfig("student", {"encoder": "lstm"}, data=data, sets=["train_noisy", "extra_noisy"])
    heads = {"autoencoder": {"type": "autoencoder", "clean": "_noisy"}}
    for name in ("extra", "extra_noisy"):
        folder = write_data_dir(tmp_path / name, {"a-1": "x"})
        (folder / "feats.scp").write_text(f"a-1 {name}.ark:4\n")
        (folder / "utt2num_frames").write_text("a-1 9\n")
    found = unlabelled_examples(system, tmp_path, TokenTable(("<blk>", "x"), "word"), heads)
    assert [(e.feats, e.clean) for e in found["extra_noisy"].kept] == [("extra_noisy.ark:4", "extra.ark:4")]
    (tmp_path / "extra" / "utt2num_frames").write_text("a-1 8\n")
    with pytest.raises(DataError, match="8 frames of 'a-1', which has 9"):
        unlabelled_examples(system, tmp_path, TokenTable(("<blk>", "x"), "word"), heads)
