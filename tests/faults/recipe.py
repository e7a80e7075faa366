"""The tiny recipe run command by command, in forks of one process, so that a fault can be put into any of them."""

from dataclasses import dataclass
from pathlib import Path

from tests.faults.faultio import Ended, Fault, Forker
from tests.pipeline.tiny import write_corpus, write_recipe
from utils.jobs.files import sha256
from utils.jobs.manifest import Manifest

FEW_UPDATES = {"updates": 10, "warmup_updates": 2, "checkpoint_updates": 4, "max_frames": 1500}
SYSTEMS, EVAL_SETS = ("teacher", "student_plain", "student"), ("dev", "test")


@dataclass(frozen=True)
class Step:
    """One command of a stage.

    Attributes:
        name: In the report.
        command: Module or file, and arguments, run in the recipe's folder.
        manifest: The manifest that it writes.
        folder: What is removed, besides its outputs, so that it begins anew.
    """

    name: str
    command: tuple[str, ...]
    manifest: str
    folder: str = ""


def training(system: str) -> Step:
    """A training."""
    out = f"exp/{system}/seed0"
    return Step(system, ("steps.train", "--system", system), f"{out}/manifest.json", f"{out}/checkpoints")


def features(name: str) -> Step:
    """The features of a set."""
    return Step(
        f"features of {name}", ("steps.make_feats", "--nj", "1", f"data/{name}"), f"data/{name}/feats/manifest.json"
    )


def soft_labels() -> Step:
    """The teacher's."""
    teacher = "exp/teacher/seed0"
    command = ("steps.make_soft_labels", "--nj", "1", teacher, "data/train")
    return Step("soft labels", command, f"{teacher}/soft_labels/train/frame_topk/manifest.json")


def decoding(system: str, name: str) -> Step:
    """Of one set with one model."""
    model = f"exp/{system}/seed0"
    return Step(
        f"decoding {name} by {system}",
        ("steps.decode", model, f"data/{name}"),
        f"{model}/decode_{name}/manifest.json",
    )


def scoring(system: str, name: str) -> Step:
    """Of one decoded set."""
    folder = f"exp/{system}/seed0/decode_{name}"
    return Step(f"scoring {name} of {system}", ("steps.score", f"data/{name}", folder), f"{folder}/score.manifest.json")


def steps_of(corpus: Path) -> list[Step]:
    """All commands of a run with one seed, in order."""
    prepare = ("local/prepare_data.py", "--nj", "1", "--corpus-dir", str(corpus), "--data-dir", "data")
    validate = ("utils.validate_data_dir", "--no-feats", "--incremental", "data/train")
    return [
        Step("data", prepare, "data/manifest.json"),
        Step("validation", validate, "data/train/validate.manifest.json"),
        *map(features, ("train", *EVAL_SETS)),
        Step("cmvn", ("steps.compute_cmvn", "data/train"), "data/train/cmvn.manifest.json"),
        Step("tokens", ("steps.make_tokens", "data/train", "data/lang"), "data/lang/manifest.json"),
        training("teacher"),
        soft_labels(),
        training("student_plain"),
        training("student"),
        *(decoding(system, name) for system in SYSTEMS for name in EVAL_SETS),
        *(scoring(system, name) for system in SYSTEMS for name in EVAL_SETS),
        Step("comparison", ("steps.compare", "--seeds", "0", "exp"), "exp/compare.manifest.json"),
        Step("report", ("steps.report", "--command", "run.sh", "--seeds", "0", "exp"), "exp/report.manifest.json"),
    ]


class ForkedRecipe:
    """A recipe whose every step was made once."""

    def __init__(self, folder: Path):
        self.root = folder / "work"
        corpus = write_corpus(self.root / "corpus")
        self.path = write_recipe(self.root / "recipe")
        shorten(self.path / "conf.toml")
        self.forker = Forker(folder / "forker")
        self.steps = {step.name: step for step in steps_of(corpus)}
        for step in self.steps.values():
            ended = self.run(step)
            assert ended.status == 0, f"{step.name}: {ended}"
        self.paths = {step.name: self.listed(step) for step in self.steps.values()}

    def run(self, step: Step, *options: str, fault: Fault | None = None, broken: str = "") -> Ended:
        """Runs a step, with a fault or in a broken build."""
        module, *arguments = step.command
        places = {"cwd": self.path, "below": self.root}
        return self.forker.run(module, *arguments, *options, **places, fault=fault, broken=broken)

    def listed(self, step: Step) -> list[Path]:
        """What a step's manifest lists."""
        path = self.path / step.manifest
        manifest = Manifest.read(path)
        return [path.parent / manifest.base / name for name in manifest.outputs]

    def outputs(self, step: Step) -> dict[Path, str]:
        """SHA-256 of what is there of a step's outputs."""
        return {path: sha256(path) for path in self.paths[step.name] if path.exists()}


def shorten(conf: Path) -> None:
    """Makes a recipe's trainings as short as they can be with two checkpoints between two looks at dev."""
    lines = []
    for line in conf.read_text().splitlines():
        name = line.split(" = ")[0]
        lines.append(f"{name} = {FEW_UPDATES[name]}" if name in FEW_UPDATES else line)
    conf.write_text("\n".join(lines) + "\n")
