import json

import numpy as np
import pytest
import torch

from steps.distillation.posteriors import (
    MAX_BYTES_PER_S,
    PosteriorFormat,
    PosteriorStore,
    choose_top_k,
    dequantise_table,
    encode_posteriors,
    quantise,
)
from steps.distillation.records import write_layout, write_records
from steps.distillation.targets import from_logits
from steps.losses.frame_kl import frame_kl
from steps.nnet.output import ModelOutput
from tests.support import flipped
from utils.data_dir.tables import write_table
from utils.jobs.errors import RetortError, StaleError


def peaky(seed, frames, num_tokens):
    """Logits as a trained recogniser's: one token far above the others."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(frames, num_tokens, generator=generator)
    best = torch.randint(num_tokens, (frames, 1), generator=generator)
    return logits.scatter_add(1, best, torch.rand(frames, 1, generator=generator) * 10)


def layout_of(num_tokens, top_k, bits):
    return PosteriorFormat(num_tokens, choose_top_k(top_k, num_tokens, bits, 40.0), bits, 0, 40.0, "sha", {})


def write_store(folder, logits, layout):
    """The soft labels of utterances in one shard."""
    frames = {utt_id: encode_posteriors(x.log_softmax(-1).numpy(), layout) for utt_id, x in logits.items()}
    places = write_records(folder, 1, frames, layout)
    write_table(folder / "soft_labels.scp", places)
    write_layout(folder, layout)


@pytest.fixture
def stored(tmp_path):
    """Writes logits of utterances to a store, and opens it."""

    def write(logits, top_k, bits):
        write_store(tmp_path, logits, layout_of(next(iter(logits.values())).size(1), top_k, bits))
        return PosteriorStore(tmp_path)

    return write


@pytest.mark.parametrize("bits", [8, 16])
def test_a_log_probability_is_kept_within_half_a_step_of_its_root(bits):
    x = -np.linspace(0, 30, 100001).astype(np.float32)
    kept = dequantise_table(bits)[quantise(x, bits)]
    assert np.abs(np.sqrt(-kept / 30) - np.sqrt(-x / 30)).max() < 0.51 / (2**bits - 1)


@pytest.mark.parametrize(("bits", "worst"), [(8, 0.022), (16, 0.0001)])
def test_the_error_of_a_probable_token_is_small(bits, worst):
    x = -np.linspace(0, 1, 1001).astype(np.float32)
    assert np.abs(dequantise_table(bits)[quantise(x, bits)] - x).max() < worst


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_below_the_floor_is_kept_as_the_floor(bits):
    kept = dequantise_table(bits)[quantise(np.array([-31.0, -1e9, -np.inf]), bits)]
    assert kept.tolist() == [-30.0, -30.0, -30.0]


@pytest.mark.parametrize(
    ("top_k", "num_tokens", "bits", "chosen"),
    [
        (16, 20, 8, 20),
        (16, 33, 8, 33),
        (16, 34, 8, 16),
        (16, 24, 16, 24),
        (16, 26, 16, 16),
        (16, 300, 8, 16),
        (5, 5, 8, 5),
        (40, 20, 8, 20),
        (0, 16, 8, 16),
        (0, 29, 8, 7),
        (0, 500, 8, 5),
        (0, 29, 16, 4),
        (0, 100000, 16, 2),
    ],
)
def test_all_tokens_are_kept_where_that_takes_no_more_room(top_k, num_tokens, bits, chosen):
    assert choose_top_k(top_k, num_tokens, bits, 40.0) == chosen


@pytest.mark.parametrize(
    ("num_tokens", "top_k", "bits", "size"),
    [(20, 16, 8, 20), (20, 16, 16, 40), (100, 4, 8, 9), (100, 4, 16, 14), (300, 4, 8, 13), (70000, 4, 8, 21)],
)
def test_a_frame_takes_the_room_that_its_layout_says(num_tokens, top_k, bits, size):
    layout = layout_of(num_tokens, top_k, bits)
    encoded = encode_posteriors(peaky(0, 3, num_tokens).log_softmax(-1).numpy(), layout)
    assert layout.bytes_per_row == size and encoded.shape == (3, size) and encoded.dtype == np.uint8


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("num_tokens", "top_k"), [(20, 16), (100, 8), (300, 8)])
def test_the_store_returns_what_was_written(stored, bits, num_tokens, top_k):
    logits = {"a-1": peaky(0, 7, num_tokens), "a-2": peaky(1, 3, num_tokens)}
    target = stored(logits, top_k, bits).batch(["a-2", "a-1"], "cpu")
    assert target.lengths.tolist() == [3, 7] and target.num_tokens == num_tokens
    for row, utt_id in enumerate(["a-2", "a-1"]):
        log_probs = logits[utt_id].log_softmax(-1)
        n = len(log_probs)
        ids = torch.arange(num_tokens).expand(n, -1) if target.ids is None else target.ids[row, :n]
        expected, best = log_probs.sort(-1, descending=True)
        if target.ids is not None:
            assert torch.equal(ids, best[:, :top_k])
            rest = expected[:, top_k:].logsumexp(-1).clamp(-30, 0)
            assert (target.log_rest[row, :n] - rest).abs().max() < 0.13
        assert (target.log_probs[row, :n] - log_probs.gather(-1, ids).clamp(-30, 0)).abs().max() < 0.13
        assert torch.equal(target.top()[row, :n], best[:, 0])


def both_terms(stored, num_tokens, top_k, bits, temperature, change=lambda x: x):
    """The loss from the store, and that with a live teacher whose logits are changed first."""
    teacher = {"a-1": peaky(0, 40, num_tokens), "a-2": peaky(1, 25, num_tokens)}
    padded = torch.nn.utils.rnn.pad_sequence([change(x) for x in teacher.values()], batch_first=True)
    live = from_logits(padded, torch.tensor([40, 25]), 0)
    student = torch.randn(2, 40, num_tokens, generator=torch.Generator().manual_seed(2))
    output = ModelOutput(student, live.lengths, {"ctc": student})
    store = stored(teacher, top_k, bits).batch(["a-1", "a-2"], "cpu")
    terms = [frame_kl(output, target, temperature=temperature) for target in (store, live)]
    assert [int(frames) for _, frames in terms] == [65, 65]
    return [float(total) for total, _ in terms]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize(("bits", "off"), [(8, 0.01), (16, 0.0001)])
def test_the_term_from_a_dense_store_equals_that_of_a_live_teacher(stored, temperature, bits, off):
    found, expected = both_terms(stored, 30, 30, bits, temperature)
    assert found == pytest.approx(expected, rel=off)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_term_from_a_sparse_store_is_close_to_that_of_a_live_teacher(stored, bits):
    found, expected = both_terms(stored, 60, 20, bits, 1.0)
    assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_term_from_a_sparse_store_equals_that_of_a_teacher_with_an_even_tail(stored, temperature, bits):
    def even_tail(logits):
        log_probs = logits.log_softmax(-1)
        values, ids = log_probs.sort(-1, descending=True)
        values[:, 20:] = values[:, 20:].logsumexp(-1, keepdim=True) - torch.tensor(40.0).log()
        return log_probs.scatter(1, ids, values)

    found, expected = both_terms(stored, 60, 20, bits, temperature, even_tail)
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("num_tokens", [20, 24, 29, 256, 257, 500, 5000, 100000])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("frame_shift_ms", [20.0, 40.0, 60.0])
def test_what_fits_is_kept(num_tokens, bits, frame_shift_ms):
    top_k = choose_top_k(0, num_tokens, bits, frame_shift_ms)
    size = PosteriorFormat(num_tokens, top_k, bits, 0, frame_shift_ms, "sha", {}).bytes_per_row
    assert size * 1000 / frame_shift_ms <= MAX_BYTES_PER_S


def test_several_folders_are_read_as_one_store(tmp_path):
    logits = {"a-1": peaky(0, 4, 20), "b-1": peaky(1, 6, 20)}
    folders = [tmp_path / name for name in "ab"]
    for folder, (utt_id, x) in zip(folders, logits.items(), strict=True):
        folder.mkdir()
        write_store(folder, {utt_id: x}, layout_of(20, 16, 8))
    whole = PosteriorStore(*folders).batch(["b-1", "a-1"], "cpu")
    assert whole.lengths.tolist() == [6, 4]
    assert (whole.log_probs[0] - logits["b-1"].log_softmax(-1)).abs().max() < 0.13
    write_layout(folders[1], layout_of(20, 16, 16))
    with pytest.raises(StaleError, match="not laid out as"):
        PosteriorStore(*folders)


def test_an_utterance_without_frames_is_stored(stored):
    target = stored({"a-1": peaky(0, 0, 100), "a-2": peaky(0, 2, 100)}, 4, 8).batch(["a-1", "a-2"], "cpu")
    assert target.lengths.tolist() == [0, 2]


@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]", '{"num_tokens": 3}'])
def test_a_store_without_a_readable_description_is_stale(stored, tmp_path, content):
    stored({"a-1": peaky(0, 3, 20)}, 16, 8)
    path = tmp_path / "soft_labels.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(StaleError, match="no soft labels that can be read"):
        PosteriorStore(tmp_path)


@pytest.mark.parametrize("size", [None, 0, 19])
def test_frames_that_cannot_be_read_are_stale(stored, tmp_path, size):
    store = stored({"a-1": peaky(0, 3, 20)}, 16, 8)
    path = tmp_path / "frame_topk.1.bin"
    path.unlink() if size is None else path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(StaleError, match="frame_topk.1.bin: (cannot be read|ends within)"):
        store.rows("a-1")


def test_frames_that_are_cut_off_are_noticed(stored, tmp_path):
    store = stored({"a-1": peaky(0, 3, 20)}, 16, 8)
    path = tmp_path / "frame_topk.1.bin"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(RetortError):
        store.batch(["a-1"], "cpu")


def is_noticed(folder):
    """Whether an utterance of a store cannot be used."""
    try:
        return "a-1" not in PosteriorStore(folder) or PosteriorStore(folder).rows("a-1") is None
    except RetortError:
        return True


@pytest.mark.parametrize("name", ["soft_labels.json", "soft_labels.scp", "frame_topk.1.bin"])
def test_any_flipped_bit_is_noticed_when_the_frames_are_used(stored, tmp_path, name):
    stored({"a-1": peaky(0, 3, 20)}, 16, 8)
    assert not is_noticed(tmp_path)
    good = (tmp_path / name).read_bytes()
    for bit in range(len(good) * 8):
        (tmp_path / name).write_bytes(flipped(good, bit))
        assert is_noticed(tmp_path), f"bit {bit}"


def test_the_store_knows_its_utterances(stored):
    store = stored({"a-1": peaky(0, 3, 20)}, 16, 8)
    assert "a-1" in store and "a-2" not in store and store.num_rows("a-1") == 3


def test_the_description_says_how_to_read_the_store(stored, tmp_path):
    stored({"a-1": peaky(0, 3, 100)}, 8, 16)
    found = json.loads((tmp_path / "soft_labels.json").read_text())
    assert {k: found[k] for k in ("kind", "num_tokens", "top_k", "bits", "temperature", "frame_shift_ms")} == {
        "kind": "frame_topk",
        "num_tokens": 100,
        "top_k": 8,
        "bits": 16,
        "temperature": 1.0,
        "frame_shift_ms": 40.0,
    }
