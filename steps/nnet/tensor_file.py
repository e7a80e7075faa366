"""Tensors in a safetensors file that knows its own SHA-256, so that a flipped bit is noticed when it is loaded."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from utils.jobs.errors import StaleError
from utils.jobs.files import insist, write_atomic


def digest_of(tensors: dict[str, Tensor], facts: str) -> str:
    """SHA-256 over names, types, shapes and values, and over the text of the facts."""
    sha = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def save_tensors(path: Path, tensors: dict[str, Tensor], facts: dict | None = None) -> None:
    """Writes tensors, and facts that JSON can hold, whole or not at all."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts or {}, sort_keys=True)
    # One entry of metadata: safetensors writes several in an order that changes from run to run.
    write_atomic(path, save(on_cpu, {"retort": json.dumps({"facts": text, "sha256": digest_of(on_cpu, text)})}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """(tensors, facts). Raises: StaleError when the file is missing, cut short or changed; OSError for I/O errors."""
    return insist(path, lambda: _load(path))


def _load(path: Path) -> tuple[dict[str, Tensor], dict]:
    try:
        with safe_open(path, "pt") as f:
            metadata = json.loads((f.metadata() or {}).get("retort", "{}"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}
        is_whole = metadata.get("sha256") == digest_of(tensors, metadata.get("facts", ""))
    except FileNotFoundError:
        raise StaleError(f"{path}: missing; run the stage that makes it") from None
    except (SafetensorError, ValueError, RuntimeError, OSError) as e:
        raise StaleError(f"{path}: cannot be read ({e}); run its command again with --force") from None
    if not is_whole:
        raise StaleError(f"{path}: its content does not match its SHA-256; run its command again with --force")
    return tensors, json.loads(metadata["facts"])
