"""The learning rate of each update."""

import math

from steps.config.schema import TrainConfig


def learning_rate(update: int, settings: TrainConfig) -> float:
    """Linear warm-up to the peak, then a cosine down to `final_lr` times the peak. `update` counts from 0."""
    if update < settings.warmup_updates:
        return settings.lr * (update + 1) / settings.warmup_updates
    done = (update - settings.warmup_updates) / max(1, settings.updates - settings.warmup_updates)
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1))))
