"""Low-rank adapters (LoRA, Hu et al. 2022): few weights for each customer beside one base model, by peft."""

from torch import Tensor, nn

from steps.config.schema import LoraConfig
from utils.jobs.errors import UsageError
from utils.jobs.packages import import_for

MARK = "lora_"  # in the names of adapter weights
LEARNT = (".log_prior", ".log_bigram")  # ends of the names of what a training of adapters finds besides


def add_adapters(model: nn.Module, settings: LoraConfig) -> None:
    """Puts adapters beside linear maps; only they are trained from then on.

    Raises: UsageError when no linear map has a name that ends as `targets` say; MachineError without peft.
    """
    peft = import_for("lora.rank", "peft", "peft")
    # subclasses, in nn.MultiheadAttention, and those of WavLM's attention are read past what peft puts in their place
    passed = tuple(f"{name}." for name, part in model.named_modules() if type(part).__name__ == "WavLMAttention")
    linear = [name for name, part in model.named_modules() if type(part) is nn.Linear and not name.startswith(passed)]
    chosen = [name for name in linear if not settings.targets or ends_as(name, settings.targets)]
    if not chosen:
        raise UsageError(
            f"lora.targets: no linear map ends in {', '.join(settings.targets)}; there are {', '.join(linear)}"
        )
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=chosen
    )
    peft.inject_adapter_in_model(config, model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(MARK in name)


def ends_as(name: str, targets: list[str]) -> bool:
    """Whether a dotted name ends in one of some dotted names."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def adapter_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of adapters, and what a hidden Markov model found in their training."""
    return {name: value for name, value in weights.items() if MARK in name or name.endswith(LEARNT)}
