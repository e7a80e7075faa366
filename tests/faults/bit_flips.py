"""Single bits that turn over in stored files, while size and times stay: where each is noticed.

Models, checkpoints and soft labels are noticed when they are used. Features are noticed by `--verify`, which hashes
every file; that notices the others too.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.support import flipped
from utils.jobs.errors import RetortError
from utils.jobs.manifest import fingerprint

TEACHER = Path("exp/teacher/seed0")
SOFT_LABELS = TEACHER / "soft_labels" / "train" / "frame_topk"


def use_model(recipe: Path, _: Path) -> None:
    """Loads it, as decoding and soft labels do."""
    from steps.nnet.model import load_model

    load_model(recipe / TEACHER)


def use_checkpoint(recipe: Path, path: Path) -> None:
    """Loads it, as a training that goes on and the averaging of models do."""
    from steps.nnet.tensor_file import load_tensors

    load_tensors(path)


def use_soft_labels(recipe: Path, _: Path) -> None:
    """Reads all of them, as a training does."""
    from steps.distillation.posteriors import PosteriorStore
    from utils.data_dir.tables import read_table
    from utils.jobs.errors import StaleError

    store = PosteriorStore(recipe / SOFT_LABELS)
    for utt_id in read_table(recipe / "data" / "train" / "feats.scp"):
        if utt_id not in store:
            raise StaleError(f"no soft labels of '{utt_id}'")
        store.rows(utt_id)


def verify(manifest: str) -> Callable[[Path, Path], None]:
    """What `--verify` does with the outputs of a manifest."""
    return lambda recipe, _: fingerprint(recipe / manifest, verify=True)


# artefact -> files, what notices a flipped bit, and how that is called
KINDS: dict[str, tuple[str, Callable[[Path, Path], None], str]] = {
    "features": ("data/train/feats/*.ark", verify("data/train/feats/manifest.json"), "--verify"),
    "soft labels": (f"{SOFT_LABELS}/[fs]*", use_soft_labels, "use"),
    "soft labels (--verify)": (f"{SOFT_LABELS}/[fs]*", verify(f"{SOFT_LABELS}/manifest.json"), "--verify"),
    "checkpoints": (f"{TEACHER}/checkpoints/*.safetensors", use_checkpoint, "use"),
    "models": (f"{TEACHER}/[!.mt]*", use_model, "use"),
    "models (--verify)": (f"{TEACHER}/[!.mt]*", verify(f"{TEACHER}/manifest.json"), "--verify"),
}


def files_of(recipe: Path, kind: str) -> list[Path]:
    """The files of a kind of artefact."""
    files = [path for path in sorted(recipe.glob(KINDS[kind][0])) if path.is_file()]
    if kind.startswith("models"):
        files += [recipe / TEACHER / name for name in ("model.safetensors", "tokens.txt")]
    return files


def put(path: Path, data: bytes) -> None:
    """Overwrites a file, and puts the numbers by which it is trusted into the manifests that list it."""
    path.write_bytes(data)
    s = os.stat(path)
    for manifest in (path.parent / "manifest.json", path.parents[1] / "feats" / "manifest.json"):
        if not manifest.is_file():
            continue
        content = json.loads(manifest.read_text())
        base = manifest.parent / content["base"]
        for name, entry in content["outputs"].items():
            if os.path.normpath(base / name) == str(path):
                entry[1:] = [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino]
        manifest.write_text(json.dumps(content))


def is_noticed(recipe: Path, kind: str, path: Path) -> bool:
    """Whether a file of a kind is refused, by an error of ours."""
    try:
        KINDS[kind][1](recipe, path)
    except RetortError:
        return True
    return False


def flip(recipe: Path, kind: str, trials: int, seed: int = 0) -> list[str]:
    """For each trial nothing where the flipped bit is noticed, else which one it was. The files are put back."""
    generator, files, found = random.Random(f"{kind} {seed}"), files_of(recipe, kind), []
    assert files and not any(is_noticed(recipe, kind, path) for path in files)
    sizes = [path.stat().st_size for path in files]
    for path in generator.choices(files, sizes, k=trials):
        good = path.read_bytes()
        bit = generator.randrange(8 * len(good))
        put(path, flipped(good, bit))
        found.append("" if is_noticed(recipe, kind, path) else f"{path.name}, bit {bit}")
        put(path, good)
    return found
