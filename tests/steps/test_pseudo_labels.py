import json
import math
from types import SimpleNamespace

import pytest
import torch

from steps.config.build import build_distill
from steps.config.schema import DecodeConfig
from steps.distillation import extract
from steps.distillation.sources import StoredTranscripts
from steps.distillation.transcripts import Transcripts, TranscriptStore, read_unit, write_unit
from steps.heads.ctc import CtcHead
from steps.heads.shape import HeadShape
from steps.losses.pseudo_labels import pseudo_labels
from steps.nnet.model import LoadedModel, Recogniser
from steps.nnet.output import ModelOutput
from steps.tokens.token_table import TokenTable
from steps.training import teachers
from steps.training.examples import Example
from steps.training.teachers import Student, usable_transcripts
from steps.training.terms import make_term
from utils.jobs.errors import DataError, StaleError

V = 4
LENGTHS = torch.tensor([6, 4, 2])
CHARS = TokenTable(("<blk>", "<space>", "a", "b"), "char")


def batch(labels, seed=0):
    """(student's output, target) of utterances of which the teacher wrote these tokens."""
    student = torch.randn(len(LENGTHS), int(LENGTHS.max()), V, generator=torch.Generator().manual_seed(seed))
    head = CtcHead(HeadShape("ctc", V, V, 0))
    return ModelOutput(student, LENGTHS, {"ctc": student}), Transcripts(labels, head.loss)


def test_the_loss_is_that_of_the_pseudo_transcripts():
    labels = [(1, 2), (3, 3), ()]
    output, target = batch(labels)
    expected = 0.0
    for i, tokens in enumerate(labels):
        if tokens:
            log_probs = output.logits["ctc"][i, : LENGTHS[i]].log_softmax(-1)
            sizes = LENGTHS[i], torch.tensor(len(tokens))
            expected += torch.nn.functional.ctc_loss(log_probs, torch.tensor(tokens), *sizes, 0, reduction="sum")
    total, count = pseudo_labels(output, target)
    assert float(total) == pytest.approx(float(expected), rel=1e-5) and count == 4


@pytest.mark.parametrize("labels", [[None, None, None], [(), None, ()]])
def test_a_batch_without_a_transcript_has_no_loss(labels):
    output, target = batch(labels)
    total, count = pseudo_labels(output, target)
    assert (float(total), count) == (0.0, 0)


def write_store(folder, text, unit):
    folder.mkdir()
    (folder / "text").write_text(text)
    write_unit(folder, unit)
    return folder


def test_words_are_spelt_in_the_tokens_of_the_student(tmp_path):
    store = TranscriptStore(write_store(tmp_path / "a", "u1 ab a\nu2\nu3 abc\n", "bpe"))
    assert store.hypotheses(CHARS) == {"u1": [((2, 3, 1, 2), 1.0)], "u2": [((), 1.0)], "u3": []}
    assert "u1" in store and "u4" not in store


def test_phones_go_to_phones_only(tmp_path):
    phones = TokenTable(("<blk>", "AA", "B"), "phone", {})
    store = TranscriptStore(write_store(tmp_path / "a", "u1 AA B AA\n", "phone"))
    assert store.hypotheses(phones) == {"u1": [((1, 2, 1), 1.0)]}
    with pytest.raises(StaleError, match="the teacher writes phones, and the student's tokens are of unit char"):
        store.hypotheses(CHARS)


def test_folders_of_different_units_and_damaged_ones_are_refused(tmp_path):
    words = write_store(tmp_path / "a", "u1 a\n", "char")
    phones = write_store(tmp_path / "b", "u2 B\n", "phone")
    with pytest.raises(StaleError, match="of other units than"):
        TranscriptStore(words, phones)
    (words / "transcripts.json").write_text("{")
    with pytest.raises(StaleError, match="no transcripts that can be read"):
        TranscriptStore(words)


def test_transcripts_are_in_the_unit_of_the_head_that_writes_them(tmp_path, monkeypatch):
    heads = {"ctc": {}, "sounds": {"type": "ctc", "tokens": "sounds", "num_tokens": 2, "unit": "phone"}}
    model = Recogniser({"encoder": "lstm", "dim": 4}, 3, len(CHARS.tokens), 10.0, heads=heads)
    config = SimpleNamespace(features={}, heads=heads)
    loaded = LoadedModel(model, config, CHARS, {"sounds": TokenTable(("<blk>", "AA"), "phone")})
    for name, value in {
        "load_model": lambda *_: loaded,
        "check_features": lambda *_: None,
        "DataDir": SimpleNamespace(read=lambda *_: SimpleNamespace(tables={"feats.scp": {}})),
        "shards_of": lambda _: [],
        "map_in_processes": lambda *_: [],
    }.items():
        monkeypatch.setattr(extract, name, value)
    for head, unit in (("", "word"), ("sounds", "phone")):
        extract.transcribe(tmp_path, tmp_path, tmp_path, DecodeConfig(head=head), 1)
        assert read_unit(tmp_path) == unit


@pytest.mark.parametrize(("text", "is_usable"), [("u1\nu2\n", False), ("u1 AB\nu2 XY\n", False), ("u1 ab\nu2\n", True)])
def test_a_teacher_none_of_whose_transcripts_can_be_used_is_refused(tmp_path, text, is_usable):
    folder = write_store(tmp_path / "a", text, "char")
    examples = [Example(utt_id, "", 40, None) for utt_id in ("u1", "u2")]
    head = SimpleNamespace(frames_needed=len)
    model = SimpleNamespace(output_lens=lambda num_frames: num_frames, heads={"ctc": head})
    student = Student(SimpleNamespace(heads={"ctc": {"type": "ctc"}}), model, {"": CHARS}, "cpu", 0)
    settings = build_distill({"loss": "pseudo_labels"}, "test")
    if is_usable:
        assert usable_transcripts(settings, "term", [folder], examples, student) == {"u1": [((2, 3), 1.0)], "u2": []}
        return
    with pytest.raises(DataError, match="term: all 2 transcripts are empty, or cannot be spelt by the student"):
        usable_transcripts(settings, "term", [folder], examples, student)


def test_what_a_teacher_says_nothing_of_is_not_taught(tmp_path, monkeypatch):
    folder = write_store(tmp_path / "a", "u1 ab\nu2\n", "char")
    monkeypatch.setattr(teachers, "soft_label_folder", lambda *_: folder)
    head = SimpleNamespace(frames_needed=len, loss=None)
    model = SimpleNamespace(output_lens=lambda num_frames: num_frames, heads={"ctc": head})
    student = Student(SimpleNamespace(heads={"ctc": {"type": "ctc"}}), model, {"": CHARS}, "cpu", 0)
    settings = build_distill({"loss": "pseudo_labels", "sets": ["more"]}, "test")
    examples = [Example(utt_id, "", 40, None) for utt_id in ("u1", "u2")]
    assert make_term(None, settings, tmp_path, examples, student, {}).utt_ids == {"u1"}


def test_a_head_with_tokens_of_its_own_learns_what_is_spelt_in_them(tmp_path):
    folder = write_store(tmp_path / "a", "u1 ab\n", "char")
    heads = {"ctc": {"type": "ctc"}, "letters": {"type": "ctc", "tokens": "letters"}}
    model = SimpleNamespace(output_lens=lambda n: n, heads=dict.fromkeys(heads, SimpleNamespace(frames_needed=len)))
    letters = TokenTable(("<blk>", "b", "<space>", "a"), "char")
    student = Student(SimpleNamespace(heads=heads), model, {"": CHARS, "letters": letters}, "cpu", 0)
    for head, expected in (("ctc", (2, 3)), ("letters", (3, 1))):
        settings = build_distill({"loss": "pseudo_labels", "head": head}, "test")
        found = usable_transcripts(settings, "term", [folder], [Example("u1", "", 40, None)], student)
        assert found == {"u1": [(expected, 1.0)]}


def test_of_several_hypotheses_one_is_drawn_by_its_probability(tmp_path):
    folder = write_store(tmp_path / "a", "u1 a\nu2\n", "char")
    best, other = {"text": "a", "score": -1.0}, {"text": "b", "score": -1.0 - math.log(3)}
    lines = [{"utt_id": "u1", "nbest": [best, other, {"text": "xyz", "score": -1.0}]}, {"utt_id": "u2", "nbest": []}]
    (folder / "nbest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = TranscriptStore(folder).hypotheses(CHARS, 3)
    assert found["u2"] == [] and [ids for ids, _ in found["u1"]] == [(2,), (3,)]
    assert [weight for _, weight in found["u1"]] == pytest.approx([0.75, 0.25])
    source = StoredTranscripts(found, None)
    drawn = [source.draw("u1", update) for update in range(2000)]
    assert drawn.count((2,)) / 2000 == pytest.approx(0.75, abs=0.04) and set(drawn) == {(2,), (3,)}
    assert source.draw("u2", 0) is None and source.draw("u1", 5) == drawn[5]
    (folder / "nbest.jsonl").write_text("{")
    with pytest.raises(StaleError, match="nbest.jsonl: cannot be read"):
        TranscriptStore(folder).hypotheses(CHARS, 3)
