"""What follows from the settings of features: how many there are in a frame, and whether a model can hear them."""

import json
from dataclasses import asdict
from pathlib import Path

from steps.config.schema import FeaturesConfig
from utils.jobs.errors import StaleError


def static_dim(settings: FeaturesConfig) -> int:
    """Features of a frame by itself."""
    made = settings.dim or settings.num_mel_bins
    return {"fbank": settings.num_mel_bins, "mfcc": settings.num_ceps, "waveform": 1, "model": made}[settings.type]


def frame_shift_ms(settings: FeaturesConfig) -> float:
    """Between two frames; those of a waveform are its samples."""
    return 1000 / settings.sample_rate_hz if settings.type == "waveform" else settings.frame_shift_ms


def feature_dim(settings: FeaturesConfig) -> int:
    """Features of a frame with its deltas, F: what a model hears."""
    return static_dim(settings) * (settings.deltas + 1)


def band_hz(settings: FeaturesConfig) -> tuple[float, float]:
    """The lower and upper end of the mel filterbank."""
    nyquist = settings.sample_rate_hz / 2
    return settings.low_freq, settings.high_freq if settings.high_freq > 0 else nyquist + settings.high_freq


def check_place(data_dir: Path) -> None:
    """Raises StaleError when feats.scp, seen from here, names the archives of another set: of a recipe elsewhere."""
    path, own = data_dir / "feats.scp", data_dir / "feats"
    if not (path.is_file() and own.is_dir()):  # of a subset, say, which has another's
        return
    with open(path, encoding="utf-8") as lines:
        folder = Path(next(lines, "").partition(" ")[2].rpartition(":")[0]).parent
    if not (folder.is_dir() and folder.samefile(own)):
        told = f"names archives in {folder}, seen from this folder, instead of its own"
        raise StaleError(f"{path}: {told}; run in the folder where it was made, or steps.make_feats --force here")


def check_features(data_dir: Path, settings: dict) -> None:
    """Raises StaleError when the features of a set were made with other settings than a model hears or heard.

    What neither names has its default.
    """
    check_place(data_dir)
    path, defaults = data_dir / "feats" / "features.json", asdict(FeaturesConfig())
    try:
        made = defaults | json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as e:
        raise StaleError(f"{path}: cannot be read ({e}); run steps.make_feats --force") from None
    heard = defaults | settings
    keys = sorted(k for k, v in heard.items() if made.get(k) != v and k != "utts_per_shard")
    if keys:
        pairs = ", ".join(f"{k} {made.get(k)}, the model hears {heard[k]}" for k in keys)
        raise StaleError(f"{data_dir}: features of other settings ({pairs}); run steps.make_feats with the model's")
