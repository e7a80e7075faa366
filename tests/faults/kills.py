"""`kill -9` through a run of the demo: the driver, alone or with all that it started, at moments aimed by progress.

A chain of kills goes through one run: each run goes on from where the one before it was killed, until the last one
comes to its end. Then weights, hypotheses and scores must be those of the run that nobody killed.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from steps.training.resume_files import resume_files
from tests.pipeline.tiny import hashes
from tests.support import ROOT, environment
from utils.jobs.files import sha256

POLL_S = 0.02
AFTER_CHECKPOINT_S, AFTER_START_S = 1.5, 1.0  # the longest that is waited before a kill
JOBS_BEFORE = ("stage0.corpus", "stage1.prepare", "stage2.feats.train", "stage3.tokens.lang")
JOBS_AFTER = ("stage8.student*", "stage9.student*", "stage9.compare", "stage11.report")


@dataclass(frozen=True)
class Kill:
    """One kill: in which stage, and how far the trainings had come that were begun and not finished."""

    stage: int
    unfinished: dict[str, int]  # training -> its last checkpoint
    was_driver_only: bool

    @property
    def is_between_checkpoints(self) -> bool:
        """Whether a training was killed between its first and its last checkpoint."""
        return bool(self.unfinished)


def copy_demo(folder: Path) -> Path:
    """The demo's recipe, with nothing made."""
    ignored = shutil.ignore_patterns("data", "exp", "downloads", "RESULTS.md")
    return Path(shutil.copytree(ROOT / "egs" / "demo", folder, ignore=ignored))


class DemoRun:
    """The driver at work on a recipe."""

    def __init__(self, recipe: Path, root: Path = ROOT, *options: str, **more: str):
        self.recipe = recipe
        self.said = recipe / "said.log"
        self.sizes = {path: path.stat().st_size for path in self.logs("*")}
        self.checkpoints = self.unfinished()
        with open(self.said, "w") as f:
            command = [root / "run.sh", "--recipe", recipe, "--nj", "2", *options]
            self.process = subprocess.Popen(
                list(map(str, command)), env=environment(**more), stdout=f, stderr=f, start_new_session=True
            )

    def logs(self, name: str) -> list[Path]:
        """The logs of jobs."""
        return list((self.recipe / "exp" / "log").glob(f"{name}.log"))

    def unfinished(self) -> dict[str, int]:
        """The last checkpoint of each training that was begun and not finished."""
        found = {}
        for folder in (self.recipe / "exp").glob("*/seed*"):
            updates = list(resume_files(folder / "checkpoints"))
            if updates and not (folder / "manifest.json").exists():
                found[str(folder.relative_to(self.recipe / "exp"))] = updates[-1]
        return found

    def is_job_begun(self, name: str) -> bool:
        """Whether a job of this name wrote to its log in this run."""
        return any(path.stat().st_size > self.sizes.get(path, 0) for path in self.logs(name))

    def is_checkpoint_saved(self) -> bool:
        """Whether a training saved a checkpoint in this run, and is still at work."""
        return any(update != self.checkpoints.get(name) for name, update in self.unfinished().items())

    def is_alive(self) -> bool:
        """Whether the driver runs."""
        return self.process.poll() is None

    def stage(self) -> int:
        """The stage that the driver said it is in."""
        found = [line.split(" stage ")[1] for line in self.said.read_text().splitlines() if " stage " in line]
        return int(found[-1].split(":")[0]) if found else 0

    def kill(self, is_driver_only: bool) -> Kill:
        """Kills the driver; alone, its jobs notice it and end."""
        kill = Kill(self.stage(), self.unfinished(), is_driver_only)
        if is_driver_only:
            self.process.kill()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return kill

    def succeed(self) -> None:
        """Waits for a good end."""
        status = self.process.wait()
        assert status == 0, f"status {status}: {self.said.read_text()[-2000:]}"


def aims(number: int) -> list[str]:
    """What to wait for before each kill: a job's log, or "" for a new checkpoint of a training."""
    in_training = number - len(JOBS_BEFORE) - len(JOBS_AFTER)
    return [*JOBS_BEFORE, *[""] * in_training, *JOBS_AFTER]


def kill_through(recipe: Path, aimed: list[str], seed: int, root: Path = ROOT, *options: str) -> list[Kill]:
    """Kills a run at each aim, unless it ends before, and lets it end."""
    generator, kills = random.Random(seed), []
    for aim in aimed:
        run = DemoRun(recipe, root, *options)
        while run.is_alive() and not (run.is_job_begun(aim) if aim else run.is_checkpoint_saved()):
            time.sleep(POLL_S)
        time.sleep(generator.uniform(0, AFTER_START_S if aim else AFTER_CHECKPOINT_S))
        if not run.is_alive():
            run.succeed()
            continue
        kills.append(run.kill(generator.random() < 0.5))
    DemoRun(recipe, root, *options).succeed()
    return kills


def copy_code(folder: Path) -> Path:
    """A copy of what a run needs, but for the recipe."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("steps", "utils", "local"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("run.sh", "requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def broken_tree(folder: Path, method: str) -> Path:
    """A copy of the code in which a training that goes on leaves out one thing."""
    copy_code(folder)
    for module in ("loop", "state"):
        path = folder / "steps" / "training" / f"{module}.py"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if f".{method}(" not in line))
    return folder


def expected(folder: Path) -> dict[str, str]:
    """The hashes of a run that nobody kills."""
    kept = folder / "expected.json"
    if not kept.exists():
        recipe = copy_demo(folder / "straight")
        DemoRun(recipe).succeed()
        kept.write_text(json.dumps(hashes(recipe)))
    return json.loads(kept.read_text())


def chain(folder: Path, seed: int, number: int) -> dict:
    """The kills of one run, and in what it differs from the one that nobody kills; done once."""
    kept, recipe = folder / f"chain{seed}.json", folder / f"chain{seed}"
    if not kept.exists():
        straight = expected(folder)
        shutil.rmtree(recipe, ignore_errors=True)
        kills = kill_through(copy_demo(recipe), aims(number), seed)
        found = hashes(recipe)
        problem = ", ".join(sorted(name for name in straight if found.get(name) != straight[name])[:5]) or anew(recipe)
        kept.write_text(json.dumps({"problem": problem, "kills": [asdict(kill) for kill in kills]}, indent=1))
    return json.loads(kept.read_text())


def began_anew(log: str) -> str:
    """Where a training's log tells that it began anew after it was killed, or went back; or nothing.

    The state after a look at dev is saved once its line is written, so that the last line does not count.
    """
    saved, looked, is_pending = 0, 0, False
    for line in log.splitlines():
        if " command: " in line:
            is_pending = saved > 0
        elif found := re.search(r": goes on after update (\d+) of ", line):
            if int(found[1]) < saved:
                return f"went back from update {saved} to {found[1]}"
            saved, is_pending = int(found[1]), False
        elif found := re.search(r": epoch \d+, update (\d+): ", line):
            if is_pending:
                return f"began anew after update {saved}"
            saved, looked = max(saved, looked), int(found[1])
    return ""


def anew(recipe: Path) -> str:
    """The first training of a recipe that began anew or went back, or nothing."""
    logs = sorted((recipe / "exp").glob("*/seed*/train.log"))
    return next((f"{log.parent}: {told}" for log in logs if (told := began_anew(log.read_text()))), "")


def control(folder: Path, method: str) -> bool:
    """Whether it is noticed that a training that goes on leaves out one thing: the teacher's, killed four times."""
    options, model = ("--stop-stage", "5"), Path("exp") / "teacher" / "seed0" / "model.safetensors"
    straight, recipe, tree = folder / "straight-teacher", folder / f"control-{method}", folder / f"tree-{method}"
    if not (straight / model).exists():
        DemoRun(copy_demo(straight), ROOT, *options).succeed()
    kills = kill_through(copy_demo(recipe), [""] * 4, 0, broken_tree(tree, method), *options)
    assert kills and all(kill.unfinished for kill in kills)
    return sha256(recipe / model) != sha256(straight / model) or bool(anew(recipe))
