"""Puts a system's parts together and trains it. Each rank runs this; only the main one writes."""

import os
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import clean_set, features_of, init_folder, system_named
from steps.decoding.decode_set import can_write
from steps.features.cmvn import accumulate, moments
from steps.heads.hmm import HmmHead
from steps.nnet.lora import adapter_weights, add_adapters
from steps.nnet.model import ModelConfig, Recogniser, new_model
from steps.nnet.rounding import megabytes, pack, round_all
from steps.nnet.tensor_file import save_tensors
from steps.scoring.units import Units
from steps.tokens.token_table import TokenTable, lang_of, read_lang
from steps.training.batching import BatchSampler
from steps.training.checkpoints import Checkpoints
from steps.training.evaluate import DevLook, set_priors
from steps.training.examples import (
    Example,
    every_speaker,
    read_examples,
    speakers_of,
)
from steps.training.head_labels import find_classes
from steps.training.heard import completed, find_examples, hours_of
from steps.training.initialise import (
    Taken,
    check_base,
    check_left_out,
    check_meaning,
    check_whole,
    freeze,
    take_ctc_head,
    take_weights,
)
from steps.training.loop import Trainer
from steps.training.ranks import Ranks
from steps.training.reports import Reporter, progress_bar
from steps.training.teachers import Student
from steps.training.terms import has_spikes, make_terms
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.errors import DataError, StaleError
from utils.jobs.files import sha256, to_json

PRIOR_UTTS = 1000  # that priors of states are counted on
LOOK_PRIOR_UTTS = 200  # while training goes on


@dataclass(frozen=True)
class TrainJob:
    """What one rank is told."""

    config_file: str
    overrides: list[str]
    system: str
    seed: int
    data_dir: str
    exp_dir: str  # where teachers are
    out_dir: str  # the model folder
    lang_dir: str
    stage: str  # where the finished model goes
    gpus: int
    identity: dict  # hashes of inputs and settings, which a checkpoint must share

    @property
    def out(self) -> Path:
        """The model folder."""
        return Path(self.out_dir)


def model_config(
    config: Config,
    system: SystemConfig,
    seed: int,
    table: TokenTable,
    others: dict[str, TokenTable],
    data_dir: Path,
) -> ModelConfig:
    """What the model folder's config.json will hold."""
    heads = sized(find_classes(data_dir / system.data.train, system.heads), others)
    training = {key: value for key, value in system.training().items() if key not in ("model", "heads")}
    folds, fold = system.train.folds, system.train.fold
    return ModelConfig(
        system.name,
        seed,
        system.model,
        asdict(features_of(config, system.data.train)),
        config.tokens.unit,
        len(table.tokens),
        table.sha256,
        blank_id=0,
        train=training,
        heads=heads,
        left_out=every_speaker(speakers_of(data_dir / system.data.train), folds, fold) if folds else [],
    )


def dev_look(
    dev_dir: Path,
    units: Units,
    model: Recogniser,
    table: TokenTable,
    device: str,
    heads: dict[str, dict],
    others: dict[str, TokenTable],
    ctc_weight: float,
) -> DevLook:
    """The look at dev of a training."""
    is_written = any(map(can_write, model.heads.values()))
    dev, faults = read_examples(dev_dir, table, has_text=is_written)
    dev = completed(dev, dev_dir, heads, others, model)
    if not is_written:
        return DevLook(model, dev, table, units, device)
    first = next(iter(faults.values()), f"{dev_dir}/text: holds no words")
    if not any(units.split(example.text) for example in dev):
        raise DataError(f"{first} (no dev utterance can be scored, so that no checkpoint could be chosen)")
    if faults:
        log.warn(f"{first} ({len(faults)} dev utterances are like this: scored, but left out of the loss)")
    return DevLook(model, dev, table, units, device, ctc_weight)


def other_tables(config: Config, system: SystemConfig, lang_dir: Path) -> dict[str, TokenTable]:
    """The tokens of heads that have some of their own, by the name of these."""
    names = {table["tokens"] for table in system.heads.values()} - {""}
    return {name: read_lang(lang_of(lang_dir, name), config.other_tokens[name].unit) for name in sorted(names)}


def sized(heads: dict[str, dict], tables: dict[str, TokenTable]) -> dict[str, dict]:
    """The settings of heads, with the number and the unit of tokens of their own."""
    return {
        name: table | {"num_tokens": len(tables[table["tokens"]].tokens), "unit": tables[table["tokens"]].unit}
        if table["tokens"]
        else table
        for name, table in heads.items()
    }


def check_start(taken: Taken, start: Path, system: SystemConfig, student: ModelConfig, model: Recogniser) -> None:
    """Raises StaleError when what was taken is not enough for adapters, or for a system that is used as it is."""
    if system.lora.rank:
        check_base(taken, start, student)
    trained = dict(model.named_parameters())
    fresh = [name for name in taken.left if name in trained and not (system.init.ctc_head and "heads.ctc." in name)]
    if fresh and not system.train.updates:
        told = f"{system.name}.train.updates = 0, and {len(fresh)} weights are not taken"
        raise StaleError(f"{start}: {told} ({fresh[0]}: {taken.left[fresh[0]]}); train some updates")


def learn_bigram(model: Recogniser, examples: list[Example]) -> None:
    """Tells a hidden Markov model which token follows which."""
    for head in model.heads.values():
        if isinstance(head, HmmHead):
            head.learn_bigram([example.tokens for example in examples if example.tokens])


def spread(examples: list[Example], count: int) -> list[Example]:
    """About as many examples, from all over the set."""
    return examples[:: max(1, len(examples) // count)]


def with_priors(weights: dict, model: Recogniser, examples: list[Example], device: str) -> dict:
    """The weights with the priors of hidden Markov models, as these weights have them on the training set."""
    if not any(isinstance(head, HmmHead) for head in model.heads.values()):
        return weights
    model.load_state_dict(weights, strict=False)  # of adapters there are no others
    set_priors(model, spread(examples, PRIOR_UTTS), device)
    return {name: value.cpu() for name, value in model.state_dict().items()}


def stop_flag() -> Callable[[], bool]:
    """Becomes true at the first SIGINT or SIGTERM, so that the update in hand is finished and saved."""
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, frame: signals.append(n))
    return lambda: bool(signals)


def prepare_model(
    job: TrainJob, config: Config, system: SystemConfig, table: TokenTable, others: dict[str, TokenTable], cmvn: Path
) -> tuple[ModelConfig, Recogniser]:
    """The model that a training begins with, on the CPU, and what its folder will say of it."""
    student = model_config(config, system, job.seed, table, others, Path(job.data_dir))
    start = init_folder(config, system, Path(job.exp_dir), job.seed)
    model = new_model(student, cmvn, job.seed)
    if clean := clean_set(Path(job.data_dir) / system.data.train, student.heads):
        model.set_drawn_cmvn(*moments(accumulate(read_table(clean / "feats.scp"))))
    if start:
        check_whole(start)
        check_left_out(start, student.left_out)
        taken = take_weights(model, start, system.init)
        check_meaning(taken, start, student.heads, table, others)
        check_start(taken, start, system, student, model)
    if system.init.ctc_head:
        take_ctc_head(model, system.model, table)
    if hasattr(model.encoder, "config") and not system.lora.rank:  # so that its folder needs no other
        student = replace(student, model=student.model | {"config": model.encoder.config})
    freeze(model, system.init.freeze)
    if system.lora.rank:
        add_adapters(model, system.lora)
        student = replace(student, lora=asdict(system.lora), base=base_of(start, job.out))
    return student, model


def train(job: TrainJob) -> dict:
    """Trains on this rank; the main one writes the model below `job.stage`. Returns counts."""
    torch.set_num_threads(1)
    ranks = Ranks.join(job.gpus)
    config = load(Path(job.config_file), job.overrides)
    system = system_named(config, job.system)
    settings, data_dir, lang_dir = system.train, Path(job.data_dir), Path(job.lang_dir)
    table, others = read_lang(lang_dir, config.tokens.unit), other_tables(config, system, lang_dir)
    cmvn = (init_folder(config, system, Path(job.exp_dir), job.seed) or data_dir / system.data.train) / "cmvn"
    student, model = prepare_model(job, config, system, table, others, cmvn)
    found = find_examples(data_dir, system, student, model, table, others)
    by_set = {name: examples.kept for name, examples in found.items()}
    dropped = {utt_id: why for examples in found.values() for utt_id, why in examples.dropped.items()}
    examples = [example for examples in by_set.values() for example in examples]
    learn_bigram(model, examples)
    model = model.to(ranks.device)
    heard = [[e for name in term.sets or [system.data.train] for e in by_set[name]] for term in system.distill]
    learner = Student(student, model, {"": table} | others, ranks.device, job.seed)
    terms = make_terms(config, system.distill, Path(job.exp_dir), heard, learner)
    dev_dir, units = data_dir / system.data.dev, Units.of(config.score)
    look = dev_look(dev_dir, units, model, table, ranks.device, student.heads, others, config.decode.ctc_weight)
    look.heard = spread(examples, LOOK_PRIOR_UTTS)
    if first := next((term for term in terms if has_spikes(term)), None):
        look.listen_to(first, [e for e in examples if e.utt_id in first.utt_ids])
    log.info(
        f"{job.out}: {model.num_params():,} weights, {len(examples):,} utterances, {len(dropped)} dropped, "
        f"{model.frame_shift_ms:g} ms a frame, look-ahead {model.look_ahead_ms:g} ms, seed {job.seed}"
    )
    units = {name: head.unit for name, head in model.heads.items()} | {term.name: term.unit for term in terms}
    report = Reporter(job.out, units)
    bar = progress_bar(settings.updates, f"{job.system}/seed{job.seed}")
    trainer = Trainer(
        model,
        system,
        BatchSampler(examples, settings.max_frames, job.seed, settings.curriculum_epochs, settings.ranks),
        terms,
        look,
        Checkpoints(job.out / "checkpoints"),
        job.identity,
        ranks,
        job.seed,
        report,
        stop_flag(),
        bar.update,
    )
    weights = trainer.train()
    bar.close()
    if ranks.is_main:
        size = {"params": model.num_params(), "megabytes": round(megabytes(model, settings.weight_bits), 4)}
        taught = set().union(*(term.utt_ids for term in terms))
        student = replace(student, **size, **hours_of(examples, system, model.feature_shift_ms, taught))
        names = {name for name, _ in model.named_parameters()}
        weights = round_all(weights, names, settings.weight_bits)
        weights = with_priors(weights, model, examples, ranks.device)
        weights = adapter_weights(weights) if student.base else weights
        write_model(Path(job.stage), *pack(weights, names, settings.weight_bits), student, table, others, cmvn)
    counts = {"in": len(examples) + len(dropped), "out": len(examples), "dropped": len(dropped)}
    return counts | {"dropped_ids": dropped, "cpu_seconds": round(trainer.progress.cpu_seconds, 1)}


def base_of(folder: Path, out: Path) -> dict:
    """Where the base of adapters is, seen from their folder, and its SHA-256."""
    return {"path": os.path.relpath(folder, out), "sha256": sha256(folder / "model.safetensors")}


def write_model(
    folder: Path,
    tensors: dict,
    facts: dict,
    student: ModelConfig,
    table: TokenTable,
    others: dict[str, TokenTable],
    cmvn: Path,
) -> None:
    """Writes the files that make a model folder self-contained; tensors and facts as `steps.nnet.rounding.pack` has
    them."""
    (folder / "config.json").write_text(to_json(student.to_dict()), encoding="utf-8")
    (folder / "tokens.txt").write_text(table.to_text(), encoding="utf-8")
    (folder / "cmvn").write_bytes(cmvn.read_bytes())
    for name, other in others.items():
        (folder / f"tokens_{name}.txt").write_text(other.to_text(), encoding="utf-8")
    names = ["config.json", "tokens.txt", "cmvn", *(f"tokens_{name}.txt" for name in others)]
    files = {name: sha256(folder / name) for name in names}
    save_tensors(folder / "model.safetensors", tensors, {"files": files} | facts)
