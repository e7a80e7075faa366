"""Every I/O call of each stage made to fail in turn: what is left must not be believed, and a rerun makes it good."""

import errno
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from steps.training.resume_files import resume_files
from tests.faults.faultio import CHANGE, KILL, READ, WRITE, Fault
from tests.faults.recipe import ForkedRecipe, Step
from utils.jobs.errors import StaleError
from utils.jobs.manifest import output_entries

FAULTS = {
    "ENOSPC": Fault(error=errno.ENOSPC, kinds=WRITE | CHANGE),
    "EIO": Fault(error=errno.EIO, kinds=READ | WRITE | CHANGE),
    "kill": Fault(error=KILL, kinds=WRITE | CHANGE),
}
ALLOWED = {"ENOSPC": {0, 5}, "EIO": {0, 5}, "kill": {-9}}  # 0: what failed was a log, or could be done again
SWEPT = ("data", "validation", "features of train", "cmvn", "tokens", "teacher", "soft labels", "student")
SWEPT += ("decoding test by student", "scoring test of student", "comparison", "report")


class Sweep(ForkedRecipe):
    """Breaks each step and makes it again."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.made = {step.name: self.outputs(step) for step in self.steps.values()}

    def remove(self, step: Step) -> None:
        """Undoes a step."""
        for path in (*self.paths[step.name], self.path / step.manifest):
            path.unlink(missing_ok=True)
        if step.folder:
            shutil.rmtree(self.path / step.folder, ignore_errors=True)

    def believed(self) -> str:
        """A manifest that vouches for what is not there, or nothing."""
        for path in sorted(self.path.rglob("*manifest.json")):
            try:
                for name, (recorded, present) in output_entries(path, verify=True).items():
                    if not present or present[0] != recorded[0]:
                        return f"{path} vouches for {name}"
            except StaleError as e:
                return str(e)
        return ""

    def calls(self, step: Step, kind: str, is_fresh: bool) -> int:
        """How many calls a step makes when nothing fails."""
        assert self.run(step, "--force").status == 0
        self.made[step.name] = self.outputs(step)  # a comparison names the time that models took, a report the commit
        if is_fresh:
            self.remove(step)
        ended = self.run(step, *([] if is_fresh else ["--force"]), fault=replace(FAULTS[kind], call=0))
        assert ended.status == 0 and self.outputs(step) == self.made[step.name], ended
        return ended.calls

    def problem(self, step: Step, kind: str, call: int, is_fresh: bool, broken: str = "") -> str:
        """What is wrong after a step's n-th call failed, or nothing; also in a build that is broken on purpose."""
        if is_fresh:
            self.remove(step)
        options = [] if is_fresh else ["--force"]
        ended = self.run(step, *options, fault=replace(FAULTS[kind], call=call), broken=broken)
        if ended.status not in ALLOWED[kind] or "Traceback" in ended.said:
            return f"ended with {ended.status}: {ended.said[-2000:]}"
        if ended.status == 0 and self.outputs(step) != self.made[step.name]:
            return "says that all is well, and the outputs differ"
        if told := self.believed():
            return told
        if call and ended.calls < call and kind != "kill":
            return f"made {ended.calls} calls only"
        saved = max(resume_files(self.path / step.folder), default=0) if step.folder else 0
        again = self.run(step, broken=broken)
        if again.status != 0:
            return f"the next run ended with {again.status}: {again.said[-2000:]}"
        if self.outputs(step) != self.made[step.name]:
            return "the next run made other outputs"
        if saved and "interrupted after" in again.said and f"goes on after update {saved} " not in again.said:
            return f"the next run does not go on after update {saved}"
        left = [str(path) for path in self.path.rglob("*.tmp") if path.is_dir()]  # files are written over
        return f"left behind: {left}" if left else ""

    def sweep(self, step: Step, kind: str, is_fresh: bool, every: int = 1, broken: str = "") -> Iterator[str]:
        """The problem, or nothing, after each call failed, or each n-th."""
        for call in range(1, self.calls(step, kind, is_fresh) + 1, every):
            problem = self.problem(step, kind, call, is_fresh, broken)
            if problem:
                self.run(step, "--force")
            yield f"{step.name}, {kind} at call {call}: {problem}" if problem else ""
