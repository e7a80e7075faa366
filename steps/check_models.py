"""conf.toml, data, data/lang -> data/models.manifest.json: whether each model can be built, and learn as asked

    python3 -m steps.check_models --data-dir data

Builds every system of the configuration, lets it hear a second of silence, and looks for the utterances it is trained
on, so that a model that cannot be built, a layer that is not there, or more tokens than frames are noticed before the
first training and not hours later. A pre-trained model is built where its folder is here; one that must be downloaded
is left to its own training.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from steps.config.code import code_of
from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import all_systems, can_transcribe, features_of, has_teacher, start_of, teachers_of
from steps.nnet.registry import PRETRAINED
from steps.train import check_data_dirs
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import DataError, UsageError
from utils.jobs.job import Job

FORMAT = 2


@dataclass(frozen=True)
class Built:
    """A model as it was built: how many layers it has, and the names of its weights."""

    num_layers: int
    weights: list[str]


def build_all(config: Config, data_dir: Path) -> dict[str, Built]:
    """Each system that can be built here.

    Raises: UsageError for one that cannot be; DataError where what it learns from is missing or does not fit.
    """
    import torch

    from steps.features.settings import feature_dim
    from steps.nnet.lora import add_adapters
    from steps.tokens.token_table import read_lang
    from steps.training.heard import find_examples
    from steps.training.initialise import check_prefixes, check_prunable, freeze
    from steps.training.run import model_config, other_tables

    table, found = read_lang(data_dir / "lang", config.tokens.unit), {}
    for name, system in all_systems(config).items():
        if system.model["encoder"] in PRETRAINED and not Path(system.model["model"]).is_dir():
            continue
        others = other_tables(config, system, data_dir / "lang")
        student = model_config(config, system, 0, table, others, data_dir)
        model = student.build().eval()
        features = features_of(config, system.data.train)
        num_frames = round(1000 / features.frame_shift_ms) if features.type != "waveform" else features.sample_rate_hz
        try:
            with torch.inference_mode():
                output = model(torch.zeros(1, num_frames, feature_dim(features)), torch.tensor([num_frames]))
                if system.train.inner_ctc_weight:
                    model.inner_output(output)
            check_prefixes(system.init.take, model.state_dict(), "take")
            freeze(model, system.init.freeze)
            if system.init.prune:
                check_prunable(model)
            if system.lora.rank:
                add_adapters(model, system.lora)
        except UsageError as e:
            raise UsageError(f"[{name}] {e}") from None
        if name in config.systems and is_heard_from_audio(config, system):  # a twin hears the same
            try:
                check_data_dirs(system, data_dir)
                with log.muted():
                    find_examples(data_dir, system, student, model, table, others)
            except DataError as e:
                raise DataError(f"[{name}] {e}") from None
        found[name] = Built(len(output.hidden) + 1, list(model.state_dict()))
    return found


def is_heard_from_audio(config: Config, system: SystemConfig) -> bool:
    """Whether a system hears features that are there before any model is trained."""
    return features_of(config, system.data.train).type != "model"


def check_compared_layers(config: Config, built: dict[str, Built]) -> None:
    """Raises UsageError when a term compares layers that a student or its teacher does not have."""
    for system in config.systems.values():
        for i, term in enumerate(system.distill):
            named = [(system.name, "student_layer")]
            named += [(name, "teacher_layer") for name, _ in teachers_of(term) if has_teacher(term)]
            for name, key in named:
                number, where = term.settings.get(key, 0), f"{system.name}.distill.{i}.{key}"
                last = built[name].num_layers if name in built else math.inf
                if number > last:
                    raise UsageError(f"{where} = {number}: [{name}] has {last} layers; 0 is the last")
                if term.source == "self" and number in (0, last):
                    raise UsageError(f"{where} = {number}: the last layer has nothing to learn from itself")


def check_taken_layers(config: Config, built: dict[str, Built]) -> None:
    """Raises UsageError when a system would start from layers that a model does not have."""
    from steps.nnet.rounding import load_weights
    from steps.training.initialise import check_layers

    for name, system in all_systems(config).items():
        if system.init.layers and name in built:
            start, file = start_of(system), Path(system.init.model) / "model.safetensors"
            if start in built:
                there = built[start].weights
            elif file.is_file():
                there = list(load_weights(file)[0])
            else:
                continue  # its own training tells
            try:
                check_layers(system.init.layers, there, built[name].weights)
            except UsageError as e:
                raise UsageError(f"[{name}] {e}") from None


def settings_of(config: Config, system: SystemConfig) -> dict:
    """What decides whether a system can be built, and learn as asked."""
    terms = {
        str(i): {"loss": term.loss, "teacher": term.teacher}
        | {"source": term.source}
        | {key: value for key, value in term.settings.items() if key.endswith("_layer")}
        for i, term in enumerate(system.distill)
    }
    found = {"model": system.model, "heads": system.heads, "terms": terms, "code": code_of(system)}
    found |= {"data": asdict(system.data), "train": asdict(system.train), "lora": asdict(system.lora)}
    found |= {"init": asdict(system.init)}
    return found | {"features": asdict(features_of(config, system.data.train))}


def check(config: Config, data_dir: Path, stage: Path) -> dict:
    """Checks all systems; returns counts."""
    built = build_all(config, data_dir)
    check_compared_layers(config, built)
    check_taken_layers(config, built)
    log.info(f"{len(built)} models can be built")
    return {"in": len(built), "out": len(built), "dropped": 0}


def main(argv: list[str]) -> None:
    """Builds the models of a configuration."""
    parser = Parser(__doc__)
    parser.add_config()
    parser.add_job()
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    args = parser.parse_args(argv)
    config = load(args.config, args.set)
    langs = ["lang", *(f"lang_{name}" for name in config.other_tokens)]
    inputs = [args.data_dir / lang / "tokens.txt" for lang in langs]
    for system in (s for s in config.systems.values() if is_heard_from_audio(config, s)):
        folder = args.data_dir / system.data.train
        inputs += [folder / "feats" / "manifest.json", *([folder / "text"] if can_transcribe(system) else [])]
    settings = {name: settings_of(config, system) for name, system in all_systems(config).items()}
    name = f"models{args.config.stem.removeprefix('conf')}.manifest.json"
    job = Job("check_models", FORMAT, args.data_dir / name, tuple(dict.fromkeys(inputs)), settings)
    job.run(args, lambda stage: check(config, args.data_dir, stage))


if __name__ == "__main__":
    run(main)
