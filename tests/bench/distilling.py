"""An update of a student that learns from a store, and from a live teacher, against that of its twin."""

from pathlib import Path

from bench import systems
from bench.rows import Goal, Row, time_row
from bench.speech import random_examples
from bench.training import NUM_BATCHES, race_batches
from steps.config.build import build_distill
from steps.config.schema import DistillConfig, SoftLabelsConfig
from steps.distillation.extract import layout_of, write_shard
from steps.distillation.store import SoftLabelStore, write_layout
from steps.losses.frame_kl import UNIT, frame_kl
from steps.nnet.model import LoadedModel
from steps.training.examples import Example
from steps.training.terms import DistillTerm, LiveFrames, StoredFrames
from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import write_table

NUM_BPE_TOKENS = 500


def make_store(folder: Path, teacher: LoadedModel, examples: list[Example]) -> SoftLabelStore:
    """The soft labels of all examples, in one shard."""
    folder.mkdir()
    layout = layout_of(teacher, SoftLabelsConfig())
    feats, frames = {e.utt_id: e.feats for e in examples}, {e.utt_id: str(e.num_frames) for e in examples}
    data = DataDir(folder, {"feats.scp": feats, "utt2num_frames": frames})
    places = write_shard((1, list(feats)), data, teacher, layout, folder, "cpu")
    write_layout(folder, layout)
    write_table(folder / "soft_labels.scp", places)
    return SoftLabelStore(folder)


def terms_of(folder: Path, teacher: LoadedModel, examples: list[Example]) -> dict[str, DistillTerm]:
    """Frame KL from a store and from the live teacher."""
    settings: DistillConfig = build_distill({"loss": "frame_kl"}, "bench")
    store = make_store(folder, teacher, examples)
    utt_ids = frozenset(store.places)
    return {
        "store": DistillTerm("frame_kl", settings, frame_kl, UNIT, utt_ids, StoredFrames(store)),
        "live teacher": DistillTerm("frame_kl", settings, frame_kl, UNIT, utt_ids, LiveFrames(teacher.model)),
    }


def rows(folder: Path) -> list[Row]:
    """For each student and number of tokens: the store, and where there are few tokens the live teacher."""
    examples = random_examples(folder, 400, systems.NUM_TOKENS)
    table = []
    cases = [
        ("LSTM", systems.STUDENT, systems.NUM_TOKENS),
        ("bidirectional LSTM", systems.BIDIRECTIONAL_STUDENT, systems.NUM_TOKENS),
        ("LSTM", systems.STUDENT, NUM_BPE_TOKENS),
    ]
    for i, (name, settings, num_tokens) in enumerate(cases):
        terms = terms_of(folder / f"store{i}", systems.loaded(systems.TEACHER, num_tokens), examples)
        if num_tokens == NUM_BPE_TOKENS:
            del terms["live teacher"]
        trainers = {
            source: systems.new_trainer(systems.new_model(settings, num_tokens), examples, folder, term)
            for source, term in {"twin": [], **{source: [term] for source, term in terms.items()}}.items()
        }
        batches = [trainers["twin"].sampler.next() for _ in range(NUM_BATCHES)]
        updates = {source: (lambda k, t=t, batches=batches: t.update(batches[k])) for source, t in trainers.items()}
        ms = {source: 1000 * s / NUM_BATCHES for source, s in race_batches(updates, NUM_BATCHES, 5).items()}
        for source in terms:
            label = f"distilling, {name}, {num_tokens} tokens, {source}"
            goal = Goal(at_most=1.1) if source == "store" else Goal()
            table.append(time_row(label, ms[source], ms["twin"], goal, "ms/update"))
    return table
