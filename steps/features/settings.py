"""Whether features were made with the settings that a model needs."""

import json
from pathlib import Path

from utils.jobs.errors import StaleError


def check_features(data_dir: Path, settings: dict) -> None:
    """Raises StaleError when the features of a set were made with other settings than a model hears or heard."""
    path = data_dir / "feats" / "features.json"
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise StaleError(f"{path}: cannot be read ({e}); run steps.make_feats --force") from None
    keys = sorted(k for k, v in settings.items() if made.get(k) != v and k != "utts_per_shard")
    if keys:
        pairs = ", ".join(f"{k} {made.get(k)}, the model hears {settings[k]}" for k in keys)
        raise StaleError(f"{data_dir}: features of other settings ({pairs}); run steps.make_feats with the model's")
