"""Faults in what systems hear: features that encoders cannot take, or that are made otherwise; sets that differ, or
have two roles.
"""

from pathlib import Path

from steps.config.schema import Config, FeaturesConfig, SystemConfig
from steps.config.systems import (
    all_sets,
    clean_set,
    features_of,
    kinds_of_heads,
    roles_in,
    roles_of,
    variant_of,
)
from steps.config.types import check_name, near
from steps.features.settings import feature_dim, frame_shift_ms
from steps.nnet.registry import PRETRAINED
from utils.jobs.errors import UsageError


def check_hearing(config: Config) -> None:
    """Raises UsageError for a system whose encoder cannot hear its sets, or that has sets of several features."""
    for system in config.systems.values():
        data, encoder = system.data, system.model["encoder"]
        heard = features_of(config, data.train)
        for name in (data.dev, *data.test, *system.sets):
            if features_of(config, name) != heard:
                told = f"'{name}' has other features than '{data.train}'"
                raise UsageError(
                    f"[{system.name}] {told}; give it sets of the same [features.*] in [{system.name}.data]"
                )
        try:
            clean, *_ = (clean_set(Path(name), system.heads) for name in (data.train, data.dev, *system.sets))
        except UsageError as e:
            raise UsageError(f"[{system.name}] {e}") from None
        if clean and feature_dim(features_of(config, clean.name)) != feature_dim(heard):
            told = f"features of '{clean}' are drawn on hearing '{data.train}', and have another width"
            raise UsageError(f"[{system.name}] {told}; give both sets the same [features.*]")
        if encoder in PRETRAINED and heard.type != "waveform":
            told = f"encoder = '{encoder}' hears samples, and '{data.train}' has {heard.type}"
            raise UsageError(f"[{system.name}.model] {told}; give [{system.name}.data] sets of type 'waveform'")
        if encoder not in PRETRAINED and heard.type == "waveform":
            told = f"encoder = '{encoder}' hears frames, and '{data.train}' has samples"
            raise UsageError(f"[{system.name}.model] {told}; choose one of {', '.join(PRETRAINED)}, or other sets")
        if encoder in PRETRAINED and not system.model["model"]:
            raise UsageError(f"[{system.name}.model] encoder = '{encoder}' needs model, its name or folder")


def check_made_features(config: Config) -> None:
    """Raises UsageError for features that no autoencoder of the configuration makes, or makes otherwise."""
    for name, features in config.variants.items():
        if features.type != "model":
            continue
        maker = config.systems.get(features.model)
        if maker is None or "autoencoder" not in kinds_of_heads(maker):
            makers = [s.name for s in config.systems.values() if "autoencoder" in kinds_of_heads(s)]
            where = f"features.{name}.model = '{features.model}'"
            raise UsageError(f"{where}: no system with an autoencoder head{near(features.model, makers)}")
        for set_name in all_sets(config):
            source = set_name.removesuffix(f"_{name}")
            if variant_of(config, set_name) == name and source not in all_sets(config):
                told = f"'{set_name}' is made of '{source}', which no system uses"
                raise UsageError(f"[features.{name}] {told}; name it in [data] or its unlabelled")
        check_shape(name, features, maker, features_of(config, maker.data.train))


def check_shape(name: str, features: FeaturesConfig, maker: SystemConfig, heard: FeaturesConfig) -> None:
    """Raises UsageError when made features have another width or frame rate than their table says."""
    width = next(table["bottleneck"] for table in maker.heads.values() if table["type"] == "autoencoder")
    shift_ms = frame_shift_ms(heard) * maker.model.get("subsampling", 1)
    if features.output == "drawn":
        width, shift_ms = feature_dim(heard), frame_shift_ms(heard)
        mean_norm = maker.model.get("mean_norm", "none")
        if mean_norm != "none":
            told = "is lost to what it draws; leave it out, or take output = 'bottleneck'"
            raise UsageError(f"[{maker.name}.model] mean_norm = '{mean_norm}': the mean {told}")
    for key, made, said in (
        ("dim", width, feature_dim(features)),
        ("frame_shift_ms", shift_ms, features.frame_shift_ms),
    ):
        if made and made != said:
            raise UsageError(f"features.{name}.{key} = {said:g}: [{maker.name}] makes {made:g}; set it so")


def source_of(config: Config, set_name: str) -> str:
    """The set whose audio a set has: the one that it is a copy of for [features.<name>], or itself."""
    variant = variant_of(config, set_name)
    return source_of(config, set_name.removesuffix(f"_{variant}")) if variant else set_name


def check_sets(config: Config) -> None:
    """Raises UsageError when a set has two roles, or another one than a set of the same audio.

    Or when a term names one that is not there to train on.
    """
    found: dict[str, tuple[str, str]] = {}  # source -> the first set of its audio, and the role of that
    systems = config.systems
    owners = {"data": roles_of(config.data)} | {f"{name}.data": roles_in(system) for name, system in systems.items()}
    for owner, roles in owners.items():
        for name, role in roles:
            check_name(name, f"[{owner}] {role}")
            first, its_role = found.setdefault(source_of(config, name), (name, role))
            if [other for other, _ in roles].count(name) > 1 or (first == name and its_role != role):
                raise UsageError(f"[{owner}] '{name}' has two roles; train, dev, test and unlabelled sets must differ")
            if its_role != role:
                raise UsageError(f"[{owner}] {role}: '{name}' has the audio of '{first}', whose role is {its_role}")
    for system in systems.values():
        name = system.data.train
        check_name(name, f"[{system.name}.data] train")
        first, role = found.get(source_of(config, name), (name, "train"))
        if role in ("dev", "test"):
            told = f"is a {role} set" if first == name else f"has the audio of '{first}', whose role is {role}"
            raise UsageError(f"[{system.name}.data] train: '{name}' {told}")
        known = {system.data.train, *system.data.unlabelled}
        for name in set(system.sets) - known:
            raise UsageError(f"[{system.name}.distill] sets: '{name}' is not used for training{near(name, known)}")
        known = {name for s in systems.values() for name in (s.data.train, *s.data.unlabelled)}
        for name in {name for term in system.distill for name in term.teacher_sets} - known:
            raise UsageError(f"[{system.name}.distill] teacher_sets: '{name}' is no set to train on{near(name, known)}")
