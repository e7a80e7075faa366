"""What the picture of an utterance shows."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from steps.explain import heard_by, write
from steps.nnet.model import LoadedModel
from steps.reporting.explained import (
    View,
    align,
    align_states,
    decoder_attention,
    heard_tokens,
    labels_of,
    picture,
    self_attention,
)
from steps.tokens.token_table import TokenTable
from tests.models import F, V, make
from tests.support import command, error_of
from utils.jobs.errors import MachineError, UsageError


@pytest.mark.parametrize("encoder", ["conformer", "ebranchformer", "transformer"])
def test_each_frame_shares_out_all_of_its_attention(encoder):
    model = make(encoder, "ctc").eval()
    with torch.inference_mode(), self_attention(model) as found:
        output = model(torch.randn(1, 20, F), torch.tensor([20]))
    (weights,) = found.values()
    assert weights.shape == (10, 10) == (int(output.lengths),) * 2
    assert weights.sum(1) == pytest.approx(np.ones(10), abs=1e-5)
    model(torch.randn(1, 20, F), torch.tensor([20]))
    assert list(found.values())[0] is weights  # nothing listens any more


@pytest.mark.parametrize("head", ["las", "transformer_decoder"])
def test_a_decoder_shares_out_its_attention_at_each_token(head):
    model = make("lstm", head).eval()
    with torch.inference_mode():
        output = model(torch.randn(1, 20, F), torch.tensor([20]))
        found = decoder_attention(model.heads, output, {head: [1, 2, 1]})
        assert decoder_attention(model.heads, output, {head: []}) == {}
    (weights,) = found.values()
    assert list(found) == [f"attention of its decoder {head}"]
    assert weights.shape == (4, 10) and weights.sum(1) == pytest.approx(np.ones(4), abs=1e-5)


def make_lang(folder, tokens, unit):
    table = TokenTable(["<blk>", *tokens], unit)
    folder.mkdir()
    (folder / "tokens.txt").write_text(table.to_text())
    return table


def test_a_model_without_self_attention_shows_none():
    model = make("lstm", "ctc").eval()
    with torch.inference_mode(), self_attention(model) as found:
        model(torch.randn(1, 20, F), torch.tensor([20]))
    assert not found


def test_a_transcript_is_aligned_where_it_is_likely():
    log_probs = torch.full((6, 3), 0.05).log()
    for frame, token in enumerate([0, 1, 0, 2, 2, 0]):
        log_probs[frame, token] = 0.0
    assert align(log_probs.log_softmax(-1), [1, 2], 0) == [(1, 1), (2, 3)]
    assert align(log_probs.log_softmax(-1), [1] * 4, 0) == []  # no room for the blanks between


def test_each_head_reads_the_transcript_in_its_own_tokens(tmp_path, capsys):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "text").write_text("u-1 low top\n")
    (tmp_path / "test" / "text_letters").write_text("u-1 lot\n")
    words = make_lang(tmp_path / "lang", ["low", "top"], "word")
    letters = make_lang(tmp_path / "lang_letters", ["l", "o", "t"], "char")
    heads = {"ctc": {}, "las": {"tokens": "letters"}, "transformer_decoder": {}}
    loaded = LoadedModel(None, SimpleNamespace(heads=heads), words, {"letters": letters})
    read = [labels_of(loaded, head, tmp_path / "test", "u-1", tmp_path / "lang") for head in heads]
    assert read == [[1, 2], [1, 2, 3], [1, 2]] and capsys.readouterr().err == ""
    assert labels_of(loaded, "ctc", tmp_path / "test", "u-2", tmp_path / "lang") == []
    (tmp_path / "test" / "text").write_text("u-1 low zebra\n")
    assert labels_of(loaded, "ctc", tmp_path / "test", "u-1", tmp_path / "lang") == []
    assert "the transcript of 'u-1' is not drawn for the head ctc" in capsys.readouterr().err


def test_the_picture_has_a_panel_for_each_attention_and_says_what_its_marks_are():
    shown = np.full((5, 2), 0.5, np.float32)
    views = [
        View("a, seed 0", np.zeros((10, F)), 0.04, ["x", "<blk>"], shown, [("x", 1)], [("x", 2)], "x", np.ones(5), more)
        for more in ({}, {"self-attention of its last layer": np.eye(5), "attention of its decoder": shown.T})
    ]
    drawn = picture("u-1", "costs $5", views, "svg").decode()
    said = ("self-attention of its last layer", "attention of its decoder", "transcript, aligned", "best path", "$5")
    assert all(f"{text}" in drawn for text in said)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("one.gif", "--out 'one.gif': end it with .png or .svg or .pdf"),
        ("drawn.png", "--out 'drawn.png': a folder has this name"),
        ("notes/one.png", "--out 'notes/one.png': 'notes' is a file, not a folder"),
        ("notes/of/one.png", "--out 'notes/of/one.png': 'notes' is a file, not a folder"),
    ],
)
def test_a_picture_that_cannot_have_its_name_is_refused_before_it_is_drawn(tmp_path, out, said):
    (tmp_path / "drawn.png").mkdir()
    (tmp_path / "notes").write_text("")
    assert said in error_of(command("steps.explain", "--out", out, "data", "u-1", "model", cwd=tmp_path), 2)


def test_a_picture_that_the_machine_does_not_write_is_told_in_one_line(tmp_path):
    write(tmp_path / "a" / "one.png", b"drawn")
    assert (tmp_path / "a" / "one.png").read_bytes() == b"drawn"
    with pytest.raises(MachineError, match="/proc/none/one.png: No such file or directory"):
        write(Path("/proc/none/one.png"), b"drawn")


def test_a_model_may_hear_another_data_directory(tmp_path):
    for name in ("test", "test_wave"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "feats.scp").write_text(f"a-1 {name}.ark:5\n")
    (tmp_path / "x=1").mkdir()
    assert heard_by(f"m={tmp_path}/test_wave", tmp_path / "test", "a-1") == (
        Path("m"),
        tmp_path / "test_wave",
        "test_wave.ark:5",
    )
    assert heard_by(f"{tmp_path}/x=1", tmp_path / "test", "a-1")[:2] == (tmp_path / "x=1", tmp_path / "test")
    with pytest.raises(UsageError, match="test/feats.scp holds no utterance 'a-2'"):
        heard_by("m", tmp_path / "test", "a-2")


@pytest.mark.parametrize("head", ["ctc", "hmm", "las", "transducer", "transformer_decoder"])
def test_what_each_head_says_of_frames_is_a_share_of_each(head):
    model = make("lstm", head).eval()
    with torch.inference_mode():
        output = model(torch.randn(1, 40, F, generator=torch.Generator().manual_seed(1)), torch.tensor([40]))
        probs, aligned = heard_tokens(model, head, output, [1, 2, 2])
    U = int(output.lengths[0])
    if head in ("las", "transducer", "transformer_decoder"):
        assert probs.shape == (U, 0) and aligned == []
        return
    assert probs.shape == (U, V) and torch.allclose(probs.sum(1), torch.ones(U), atol=1e-5)
    frames = [frame for _, frame in aligned]
    assert [token for token, _ in aligned] == [1, 2, 2] and frames == sorted(set(frames))
    if head == "hmm":
        states = output.log_probs(head)[0].exp()
        assert torch.allclose(probs[:, 3], states[:, 5:7].sum(1)) and torch.allclose(probs[:, 0], states[:, 0])
        assert heard_tokens(model, head, output, [1] * U)[1] == []  # no room for its states


def test_a_token_of_an_hmm_begins_in_its_first_state():
    head = make("lstm", "hmm").eval().heads["hmm"]  # two states of each token
    states = torch.tensor([0, 1, 1, 2, 3, 4, 0])
    log_probs = (8.0 * torch.nn.functional.one_hot(states, 1 + 2 * (V - 1))).log_softmax(-1)
    assert align_states(head, log_probs, [1, 2]) == [(1, 1), (2, 4)]
