"""conf.toml, data/lang -> data/models.manifest.json: whether each model can be built, and teach or learn as asked

    python3 -m steps.check_models --data-dir data

Builds every system of the configuration and lets it hear a second of silence, so that a model that cannot be built, or
a layer that is not there, is noticed before the first training and not hours later. Pre-trained models are left to
their own training, which loads them.
"""

from dataclasses import asdict
from pathlib import Path

from steps.config.code import code_of
from steps.config.load import load
from steps.config.schema import Config, SystemConfig
from steps.config.systems import all_systems, features_of, has_teacher, teachers_of
from steps.nnet.registry import PRETRAINED
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import UsageError
from utils.jobs.job import Job

FORMAT = 1


def layers_of(config: Config, data_dir: Path) -> dict[str, int]:
    """The number of layers of each system that was built. Raises: UsageError for one that cannot be."""
    import torch

    from steps.features.settings import feature_dim
    from steps.tokens.token_table import read_lang
    from steps.training.run import model_config, other_tables

    table, found = read_lang(data_dir / "lang", config.tokens.unit), {}
    for name, system in all_systems(config).items():
        if system.model["encoder"] in PRETRAINED:
            continue
        others = other_tables(config, system, data_dir / "lang")
        model = model_config(config, system, 0, table, others, data_dir).build().eval()
        features = features_of(config, system.data.train)
        num_frames = round(1000 / features.frame_shift_ms) if features.type != "waveform" else features.sample_rate_hz
        with torch.inference_mode():
            output = model(torch.zeros(1, num_frames, feature_dim(features)), torch.tensor([num_frames]))
        found[name] = len(output.hidden) + 1
    return found


def check_layers(config: Config, layers: dict[str, int]) -> None:
    """Raises UsageError when a term compares layers that a student or its teacher does not have."""
    for system in config.systems.values():
        for i, term in enumerate(system.distill):
            named = [(system.name, "student_layer")]
            named += [(name, "teacher_layer") for name, _ in teachers_of(term) if has_teacher(term)]
            for name, key in named:
                number = term.settings.get(key, 0)
                if name in layers and number > layers[name]:
                    where = f"{system.name}.distill.{i}.{key} = {number}"
                    raise UsageError(f"{where}: [{name}] has {layers[name]} layers; 0 is the last")


def settings_of(config: Config, system: SystemConfig) -> dict:
    """What decides whether a system can be built, and learn as asked."""
    terms = {
        str(i): {"loss": term.loss, "teacher": term.teacher}
        | {key: value for key, value in term.settings.items() if key.endswith("_layer")}
        for i, term in enumerate(system.distill)
    }
    found = {"model": system.model, "heads": system.heads, "terms": terms, "code": code_of(system)}
    return found | {"features": asdict(features_of(config, system.data.train))}


def check(config: Config, data_dir: Path, stage: Path) -> dict:
    """Checks all systems; returns counts."""
    layers = layers_of(config, data_dir)
    check_layers(config, layers)
    log.info(f"{len(layers)} models can be built")
    return {"in": len(layers), "out": len(layers), "dropped": 0}


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
    settings = {name: settings_of(config, system) for name, system in all_systems(config).items()}
    name = f"models{args.config.stem.removeprefix('conf')}.manifest.json"
    job = Job("check_models", FORMAT, args.data_dir / name, tuple(inputs), settings)
    job.run(args, lambda stage: check(config, args.data_dir, stage))


if __name__ == "__main__":
    run(main)
