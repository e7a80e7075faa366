"""Faults of a configuration that no table shows alone."""

import math
from pathlib import Path

from steps.config.hearing import check_hearing, check_made_features, check_sets
from steps.config.schema import Config, FeaturesConfig, SystemConfig
from steps.config.systems import (
    all_sets,
    can_transcribe,
    features_of,
    has_teacher,
    is_self_supervised,
    kinds_of_heads,
    pairs_of,
    pretrained,
    set_in_place,
    start_of,
    teachers_of,
    variant_of,
    writing_head,
)
from steps.config.teaching import check_chains, check_nbest, check_needed_heads, check_teachers
from steps.config.types import near
from steps.features.settings import band_hz
from steps.heads.registry import HIDING, SELF_SUPERVISED, WITH_OTHER_TOKENS
from steps.nnet.registry import WITH_CTC
from utils.jobs.errors import UsageError


def check_config(config: Config) -> None:
    """Raises UsageError for settings that are right one by one, and wrong together."""
    check_twins(config.systems)
    check_teachers(config.systems)
    check_nbest(config)
    check_starts(config.systems)
    check_chains(config.systems)  # from here on it is known what is trained before what
    for name, features in {"": config.features, **config.variants}.items():
        try:
            check_features(features)
        except UsageError as e:
            raise UsageError(f"[features.{name}] {e}" if name else str(e)) from None
    check_use(config)
    check_stages(config)
    check_made_features(config)
    check_hearing(config)
    check_units(config)
    check_whisper(config.systems, config.tokens.unit)
    check_self_supervised(config.systems)
    check_folds(config.systems)
    check_tokens_of_heads(config)
    check_needed_heads(config.systems)
    check_controls(config.systems)
    check_comparisons(config)
    check_sets(config)


def check_twins(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError when a system has the name of another one's twin."""
    for name in systems:
        if name.removesuffix("_plain") != name and systems.get(name.removesuffix("_plain"), systems[name]).distill:
            raise UsageError(f"[{name}] has the name of the twin of [{name.removesuffix('_plain')}]; rename it")


def check_features(features: FeaturesConfig) -> None:
    """Raises UsageError for settings of features that do not go together."""
    if features.norm_vars and features.cmvn == "global":
        raise UsageError('features.norm_vars = true: needs features.cmvn = "speaker" or "utterance"')
    if features.type == "model":
        if features.deltas or features.cmvn != "global":
            raise UsageError("features.type = 'model' goes with deltas = 0 and cmvn = 'global'")
    elif features.type != "waveform":
        check_filters(features)
    elif features.deltas or features.cmvn != "global":
        raise UsageError("features.type = 'waveform' goes with deltas = 0 and cmvn = 'global'")


def check_use(config: Config) -> None:
    """Raises UsageError for a table of features or tokens that nothing uses."""
    used = {variant_of(config, name) for name in all_sets(config)}
    for name in config.variants.keys() - used:
        sets = f"a set called {config.data.train}_{name}, say"
        raise UsageError(f"[features.{name}]: no system hears it; give one {sets}, or leave the table out")
    used = {table["tokens"] for system in config.systems.values() for table in system.heads.values()}
    for name in config.other_tokens.keys() - used:
        raise UsageError(f"[tokens.{name}]: no head writes them; give one tokens = '{name}', or leave the table out")


def check_stages(config: Config) -> None:
    """Raises UsageError for a system that is trained before the features it hears are made."""
    if config.features.type == "model":
        raise UsageError("features.type = 'model': these are made of others; write it in [features.<name>]")
    for name in pretrained(config):
        if features_of(config, config.systems[name].data.train).type == "model":
            raise UsageError(f"[{name}] is trained in stage 4, and hears features that are made at its end")


def check_units(config: Config) -> None:
    """Raises UsageError when tokens, decoder and score do not go together."""
    if config.tokens.unit == "phone" and config.score.unit != "phone":
        raise UsageError(f"tokens.unit = 'phone' and score.unit = '{config.score.unit}'; set it to 'phone' too")
    if config.score.keywords and config.tokens.unit == "phone":
        raise UsageError("score.keywords are words, and tokens.unit = 'phone'; leave them out")
    keywords = [" ".join(keyword.split()) for keyword in config.score.keywords]
    if "" in keywords:
        raise UsageError("score.keywords: an empty one")
    if twice := sorted({keyword for keyword in keywords if keywords.count(keyword) > 1}):
        raise UsageError(f"score.keywords: '{twice[0]}' stands there twice")
    for system in config.systems.values():
        if "keywords" in system.heads:
            raise UsageError(f"[{system.name}.heads.keywords]: figures of [score] keywords have this name; rename it")
    tables = [system.heads.get(config.decode.head, {}) for system in config.systems.values()]
    for name in {table["tokens"] for table in tables if table.get("tokens")} & config.other_tokens.keys():
        if config.other_tokens[name].unit == "phone" and config.score.unit != "phone":
            head = f"decode.head = '{config.decode.head}' writes phones"
            raise UsageError(f"{head}, and score.unit = '{config.score.unit}'; set it to 'phone' too")
    for system in config.systems.values() if config.score.unit == "phone" else ():
        head = system.heads.get(writing_head(system.heads, config.decode.head))  # None: it writes nothing, or lacks it
        named = head["tokens"] if head else ""
        tokens = config.other_tokens.get(named, config.tokens)
        if head and tokens.unit in ("bpe", "char"):  # a word may be a phone already
            where = f"tokens.{named}.unit" if tokens is not config.tokens else "tokens.unit"
            told = f"[{system.name}] writes {where} = '{tokens.unit}' and score.unit = 'phone'"
            raise UsageError(f"{told}; set the latter to 'word' or 'char', or decode.head to one that writes phones")
    written = {f"{s.name}.soft_labels.": s.soft_labels.decode for s in config.systems.values()}
    for where, decode in {"": config.decode, **written}.items():
        if decode and decode.decoder == "beam" and decode.nbest > decode.beam_size:
            sizes = f"{where}decode.nbest = {decode.nbest} and {where}decode.beam_size = {decode.beam_size}"
            raise UsageError(f"{sizes}; a beam holds no more hypotheses than its size")


def check_filters(settings: FeaturesConfig) -> None:
    """Raises UsageError when the mel filters do not lie below the Nyquist frequency, hear nothing, or are too few."""
    nyquist = settings.sample_rate_hz / 2
    _, high = band_hz(settings)
    if not settings.low_freq < high <= nyquist:
        raise UsageError(
            f"features.low_freq = {settings.low_freq:g} and high_freq = {settings.high_freq:g} leave "
            f"{settings.low_freq:g} to {high:g} Hz; the first must be lower, and the last at most {nyquist:g} Hz"
        )
    for name in ("frame_shift_ms", "frame_length_ms"):
        if settings.sample_rate_hz * getattr(settings, name) < 2000:
            raise UsageError(f"features.{name} = {getattr(settings, name):g}: shorter than two samples")
    window = int(settings.sample_rate_hz * settings.frame_length_ms / 1000)
    spacing = settings.sample_rate_hz / 2 ** math.ceil(math.log2(window))  # Hz between bins of the spectrum
    low_mel, high_mel = (1127 * math.log(1 + hz / 700) for hz in (settings.low_freq, high))
    step = (high_mel - low_mel) / (settings.num_mel_bins + 1)
    edges = [700 * (math.exp((low_mel + i * step) / 1127) - 1) for i in range(settings.num_mel_bins + 2)]
    deaf = sum(math.floor(a / spacing) + 1 >= c / spacing for a, c in zip(edges, edges[2:], strict=False))
    if settings.type == "mfcc" and settings.num_ceps > settings.num_mel_bins:
        pair = f"features.num_ceps = {settings.num_ceps}: more than num_mel_bins = {settings.num_mel_bins}"
        raise UsageError(f"{pair}; lower the one or raise the other")
    if deaf:
        raise UsageError(
            f"features.num_mel_bins = {settings.num_mel_bins}: {deaf} of them are too narrow to hear anything"
        )


def check_whisper(systems: dict[str, SystemConfig], unit: str) -> None:
    """Raises UsageError for a decoder of Whisper where it cannot be used as it is."""
    for system in systems.values():
        if "whisper_decoder" not in kinds_of_heads(system):
            continue
        where = f"[{system.name}] the head whisper_decoder"
        if system.model["encoder"] != "whisper":
            raise UsageError(f"{where} needs [{system.name}.model] encoder = 'whisper'")
        if system.train.updates:
            raise UsageError(f"{where} is used as it is; set [{system.name}.train] updates = 0")
        if unit == "phone":
            raise UsageError(f"{where} writes words, and tokens.unit = 'phone'; set it to 'char' or 'bpe'")


def check_self_supervised(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError for a head without transcripts that would choose checkpoints, or learns nothing."""
    for system in systems.values():
        first = next(iter(system.heads))
        if system.heads[first]["type"] in SELF_SUPERVISED and not is_self_supervised(system):
            told = "the first head chooses checkpoints on dev; write one that learns from transcripts or labels first"
            raise UsageError(f"[{system.name}.heads.{first}]: {told}")
        for name, table in system.heads.items():
            if table["type"] in HIDING and not table["start_share"]:
                raise UsageError(
                    f"{system.name}.heads.{name}.start_share = 0: hides nothing, so that nothing is learnt"
                )


def check_folds(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError for a fold that is not there, or a start or a teacher that heard whom it leaves out."""
    for system in systems.values():
        folds, fold = system.train.folds, system.train.fold
        if folds == 1 or (fold and fold >= folds):
            raise UsageError(f"[{system.name}.train] folds = {folds} and fold = {fold}: 2 folds or more, from 0")
        start = systems.get(start_of(system))
        known = [("starts from", start)] if start and can_transcribe(start) else []
        taught = [name for term in system.distill if has_teacher(term) for name, _ in teachers_of(term)]
        known += [("learns from", systems[name]) for name in taught]
        for how, other in known if folds else []:
            if (other.train.folds, other.train.fold) != (folds, fold):
                told = f"{how} [{other.name}], which heard whom it leaves out; give both the same folds and fold"
                raise UsageError(f"[{system.name}.train] folds = {folds}: {told}")


def check_tokens_of_heads(config: Config) -> None:
    """Raises UsageError for a head whose tokens are not there, or must be those of [tokens]."""
    for system in config.systems.values():
        for name, table in system.heads.items():
            where = f"[{system.name}.heads.{name}] tokens = '{table['tokens']}'"
            if table["tokens"] and table["tokens"] not in config.other_tokens:
                raise UsageError(f"{where}: no [tokens.{table['tokens']}]{near(table['tokens'], config.other_tokens)}")
            if table["tokens"] and table["type"] not in WITH_OTHER_TOKENS:
                raise UsageError(f"{where}: a head of type {table['type']} takes none of its own")
            if table["tokens"] and name in ("ctc", next(iter(system.heads))):
                raise UsageError(f"{where}: the first head, and that called ctc, write those of [tokens]")


def check_starts(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError when a system starts from one that is not trained before it."""
    for system in systems.values():
        name = start_of(system)
        where = f"[{system.name}] init.model = '{system.init.model}'"
        if name == system.name:
            raise UsageError(f"{where}: is the system itself")
        check_place(where, system.init.model, systems)
        if name in systems and not systems[name].distill and start_of(systems[name]) in systems:
            told = "is itself fine-tuned, in a later stage; write the path of its folder when it is there"
            raise UsageError(f"{where}: {told}")
        if system.init.ctc_head and (system.model["encoder"] not in WITH_CTC or "ctc" not in system.heads):
            encoders = " or ".join(map(repr, WITH_CTC))
            raise UsageError(f"[{system.name}.init] ctc_head: needs encoder = {encoders} and [{system.name}.heads.ctc]")
        check_ctc_head(system, systems)
        check_untrained(system)
        if system.lora.rank and not system.init.model:
            raise UsageError(f"[{system.name}.lora] rank: adapters need a base; set [{system.name}.init] model")
        changed = [name for name in ("take", "freeze", "layers", "prune") if getattr(system.init, name)]
        if system.lora.rank and changed:
            told = f"adapters stand beside a whole model; leave out {' and '.join(changed)}"
            raise UsageError(f"[{system.name}.lora] rank: {told}")
        if system.lora.rank and system.train.weight_bits:
            raise UsageError(f"[{system.name}.train] weight_bits: the base of adapters stays as it is")
        if (system.init.prune or system.init.layers) and not system.init.model:
            raise UsageError(f"[{system.name}.init] prune, layers: there is no model to take weights from")
        if system.init.take and not system.init.model:
            raise UsageError(f"[{system.name}.init] take: there is no model to take weights from")


def check_ctc_head(system: SystemConfig, systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError for a system that would take its CTC head from two models."""
    name, parts = start_of(system), system.init.take or ["heads"]
    is_taken = any(part == "heads" or f"{part}.".startswith("heads.ctc.") for part in parts)
    if (
        system.init.ctc_head
        and system.init.model
        and is_taken
        and (name not in systems or "ctc" in systems[name].heads)
    ):
        told = f"its ctc head comes from init.model = '{system.init.model}'; set ctc_head = false, or take to others"
        raise UsageError(f"[{system.name}.init] ctc_head: {told}")


def check_untrained(system: SystemConfig) -> None:
    """Raises UsageError for a system that is used as it is, and is nothing yet, or is asked to learn."""
    where = f"[{system.name}.train] updates = 0"
    if system.train.updates:
        return
    brought = {"whisper_decoder"} | ({"ctc"} if system.init.ctc_head else set())
    fresh = [name for name, table in system.heads.items() if table["type"] not in brought]
    if fresh and not system.init.model:
        told = (
            f"the head {fresh[0]} starts from nothing"
            if len(fresh) < len(system.heads)
            else "the model starts from nothing"
        )
        raise UsageError(f"{where}: {told}; set [{system.name}.init]")
    if system.distill or system.lora.rank:
        raise UsageError(f"{where}: nothing is learnt; leave out its {'adapters' if system.lora.rank else 'distill'}")


def check_place(where: str, model: str, systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError for a model to start from that is neither a system, with its seed, nor looks like a folder."""
    name, _, seed = model.partition("/seed")
    first = model.partition("/")[0]
    if not model or Path(model).is_dir() or (name in systems and (seed.isdecimal() or seed == "*" or model == name)):
        return
    if first in systems:
        raise UsageError(f"{where}: write it as {first}/seed1")
    if "/" not in model:
        raise UsageError(f"{where}: neither a system nor a folder{near(model, systems)}")


def check_controls(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError when a control does not exist, or has other seeds than the system compared with it."""
    for system in systems.values():
        for name in system.controls:
            if name not in systems or name == system.name:
                raise UsageError(
                    f"[{system.name}] controls: '{name}' is no other system{near(name, set(systems) - {system.name})}"
                )
            if not can_transcribe(systems[name]):
                raise UsageError(f"[{system.name}] controls: [{name}] writes nothing that could be compared")
            if systems[name].seeds != system.seeds:
                raise UsageError(
                    f"[{name}] seeds = {systems[name].seeds} and [{system.name}] seeds = {system.seeds}: "
                    "a control has those of the system compared with it"
                )


def check_comparisons(config: Config) -> None:
    """Raises UsageError when a system is compared with one twice, or with one that is not tested in its place."""
    pairs = pairs_of(config)
    for teacher, student, distilled in pairs:
        if pairs.count((teacher, student, distilled)) > 1:
            raise UsageError(f"[{distilled}] controls: '{student}' stands there twice, or is its twin")
        ours = config.systems[distilled]
        for theirs in [config.systems[name] for name in (teacher, student) if name in config.systems]:
            if can_transcribe(theirs) and can_transcribe(ours):
                for name in (ours.data.dev, *ours.data.test):
                    set_in_place(theirs, ours, name)
