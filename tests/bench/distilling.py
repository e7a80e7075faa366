"""An update of a student that learns from a store, and from a live teacher, against that of its twin."""

from functools import partial
from pathlib import Path

import torch

from bench import systems
from bench.rows import Goal, Row, time_row
from bench.speech import random_examples
from bench.training import NUM_BATCHES, race_batches
from steps.config.build import build_distill
from steps.config.schema import SoftLabelsConfig
from steps.distillation.extract import Asked, codebooks_of, encode_frames, encode_hidden, posterior_layout, write_shard
from steps.distillation.hidden_codes import CodeStore
from steps.distillation.posteriors import PosteriorStore
from steps.distillation.records import RecordStore, write_layout
from steps.distillation.sources import Listener, Live, Source, StoredFrames, StoredTranscripts
from steps.losses.registry import LOSSES
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel, Recogniser
from steps.training.examples import Example
from steps.training.teachers import Student
from steps.training.terms import DistillTerm, ready_loss
from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import write_table

NUM_BPE_TOKENS = 500
KINDS = {"frame_topk": Goal(at_most=1.1), "transcripts": Goal(at_most=1.1), "hidden_codes": Goal(at_most=1.5)}
STUDENTS = {"LSTM": systems.STUDENT, "bidirectional LSTM": systems.BIDIRECTIONAL_STUDENT}


def make_store(folder: Path, teacher: LoadedModel, examples: list[Example], kind: str) -> RecordStore:
    """The soft labels of all examples, in one shard."""
    folder.mkdir()
    feats, frames = {e.utt_id: e.feats for e in examples}, {e.utt_id: e.num_frames for e in examples}
    data = DataDir(folder, {"feats.scp": feats, "utt2num_frames": {u: str(n) for u, n in frames.items()}})
    asked = Asked(kind, "ctc", 0, SoftLabelsConfig())
    if kind == "hidden_codes":
        some = dict(list(frames.items())[:50])
        states = [x.encoder_out.flatten(0, 1) for _, x in run_model(teacher.model, feats, some)]
        books, layout = codebooks_of(teacher, torch.cat(states), folder, asked)
        encode = partial(encode_hidden, layer=0, books=books, layout=layout)
    else:
        layout = posterior_layout(teacher, asked)
        encode = partial(encode_frames, head="ctc", layout=layout)
    places = write_shard((1, list(feats)), data, teacher, encode, layout, folder, "cpu")
    write_layout(folder, layout)
    write_table(folder / "soft_labels.scp", places)
    return CodeStore(folder) if kind == "hidden_codes" else PosteriorStore(folder)


def term_of(loss: str, source: Source, student: Recogniser, examples: list[Example]) -> DistillTerm:
    """A loss that learns from a source."""
    settings = build_distill({"loss": loss}, "bench")
    ready, unit = ready_loss(settings, loss, source, examples, Student(None, student, {}, "cpu", 0))
    return DistillTerm(loss, settings, ready, unit, frozenset(e.utt_id for e in examples), source, student, "ctc")


def sources_of(folder: Path, teacher: LoadedModel, examples: list[Example], student: Recogniser) -> dict[str, Source]:
    """A store of each kind."""
    said = {e.utt_id: [(e.tokens, 1.0)] for e in examples}
    stores = {
        kind: StoredFrames(make_store(folder / kind, teacher, examples, kind), "ctc")
        for kind in KINDS
        if kind != "transcripts"
    }
    return stores | {"transcripts": StoredTranscripts(said, student.heads["ctc"].loss)}


def rows(folder: Path) -> list[Row]:
    """For the LSTM each loss from a store; for other students and more tokens, and live, frame KL."""
    examples = random_examples(folder, 400, systems.NUM_TOKENS)
    usual = [name for name, (_, kind) in LOSSES.items() if kind in KINDS]
    cases = [
        ("LSTM", systems.NUM_TOKENS, usual),
        ("bidirectional LSTM", systems.NUM_TOKENS, ["frame_kl"]),
        ("LSTM", NUM_BPE_TOKENS, ["frame_kl"]),
    ]
    table = []
    for i, (name, num_tokens, losses) in enumerate(cases):
        home = folder / f"stores{i}"
        home.mkdir()
        teacher = systems.loaded(systems.TEACHER, num_tokens)
        models = {label: systems.new_model(STUDENTS[name], num_tokens) for label in ["twin", *losses, "live teacher"]}
        sources = sources_of(home, teacher, examples, models["twin"])
        terms = {loss: [term_of(loss, sources[LOSSES[loss][1]], models[loss], examples)] for loss in losses}
        live = Live(Listener(teacher.model), "frame_topk", "ctc", "ctc")
        if num_tokens == systems.NUM_TOKENS:
            terms["live teacher"] = [term_of("frame_kl", live, models["live teacher"], examples)]
        trainers = {
            label: systems.new_trainer(models[label], examples, folder, found)
            for label, found in {"twin": [], **terms}.items()
        }
        batches = [trainers["twin"].sampler.next() for _ in range(NUM_BATCHES)]
        updates = {label: (lambda k, t=t, batches=batches: t.update(batches[k])) for label, t in trainers.items()}
        ms = {label: 1000 * s / NUM_BATCHES for label, s in race_batches(updates, NUM_BATCHES, 5).items()}
        for label in terms:
            goal = KINDS[LOSSES[label][1]] if label in LOSSES else Goal()
            table.append(
                time_row(f"distilling, {name}, {num_tokens} tokens, {label}", ms[label], ms["twin"], goal, "ms/update")
            )
    return table
