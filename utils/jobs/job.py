"""One unit of work: known inputs and settings in, files out, a manifest beside them."""

import contextlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from utils.jobs import log
from utils.jobs.errors import DataError, InUseError, StaleError
from utils.jobs.files import MANY_FILES, flush, fsync, sha256
from utils.jobs.lock import lock
from utils.jobs.manifest import (
    Entry,
    Manifest,
    Upstream,
    describe,
    describe_input,
    digest,
    is_manifest,
    output_entries,
)
from utils.jobs.workers import map_in_threads


@dataclass(frozen=True)
class Job:
    """What a command would do.

    Args:
        command: The command that does it, as it stands in messages.
        format: Raised by hand when the command's code changes what it writes.
        manifest: Where the manifest stands. Its folder is locked during the work.
        inputs: Files, and manifests that stand for all outputs of an earlier command.
        settings: All that changes the result and is not a file.
        base: The folder that the names of outputs are relative to.
        editable: Whether a person may edit the outputs: then an edited one is kept, not refused.
        log_file: A log that the work is recorded in, beside stderr.
        is_final: Whether people read the outputs: then the whole chain before them is checked each time.
        begun: How far an interrupted run came, where it goes on from there.
        hash_file: The SHA-256 of an input; it may take the occasion to look at what the file holds.
    """

    command: str
    format: int
    manifest: Path
    inputs: tuple[Path, ...]
    settings: dict
    base: Path | None = None
    editable: bool = False
    log_file: Path | None = None
    is_final: bool = False
    begun: str = ""
    hash_file: Callable[[Path], str] = sha256

    @property
    def folder(self) -> Path:
        """The folder that outputs are named from."""
        return self.base or self.manifest.parent

    @property
    def _stage(self) -> Path:
        """Where the work is done before it is moved into place."""
        return self.manifest.parent / f".{self.command}.tmp"

    @property
    def _lock_file(self) -> Path:
        """Held during the work."""
        return self.manifest.parent / f".{self.command}.lock"

    def stale_reason(self, verify: bool = False) -> str | None:
        """Why the work must be done, or None when its outputs are up to date. Announces edited outputs."""
        old = Manifest.read(self.manifest)
        if old is None:
            missing = [str(path) for path in self.inputs if not path.exists()]
            return f"{missing[0]} is missing" if missing else self.begun or "never made"
        if old.format != self.format:
            return f"the code writes another format ({old.format} -> {self.format})"
        return self._changed_setting(old) or self._changed_input(old, verify) or self._changed_output(old, verify)

    def _changed_setting(self, old: Manifest) -> str | None:
        changed = first_change(old.settings, self.settings)
        return f"setting {changed[0]} changed ({changed[1]})" if changed else None

    def _changed_input(self, old: Manifest, verify: bool) -> str | None:
        names = {name_of(path): path for path in self.inputs}
        for name, path in names.items():
            if name not in old.inputs:
                return f"input {name} is new"
            present = describe_input(path, old.inputs[name], verify, self.hash_file)
            if present is None:
                return f"input {name} is missing"
            if digest(present) != digest(old.inputs[name]):
                return f"input {name} changed" if not is_manifest(path) else f"what {name} lists changed"
        gone = [name for name in old.inputs if name not in names]
        return f"input {gone[0]} is no longer used" if gone else None

    def _changed_output(self, old: Manifest, verify: bool) -> str | None:
        for name, (recorded, present) in output_entries(self.manifest, verify).items():
            if present is None:
                return f"output {self.folder / name} is missing"
            if present[0] == recorded[0]:
                continue
            if not self.editable:
                raise StaleError(f"{self.folder / name}: not what {self.command} wrote; run it again with --force")
            log.warn(f"{self.folder / name} was edited by hand: kept (--force makes it anew)")
        return None

    def _refuse_to_mix(self, reason: str) -> None:
        """Raises: StaleError when an output was edited by hand and all of them are due to be made anew."""
        if self.editable and self.manifest.exists():
            for name, (recorded, present) in output_entries(self.manifest).items():
                if present and present[0] != recorded[0]:
                    stage = os.environ.get("RETORT_STAGE")
                    force = f"--stage {stage} --stop-stage {stage} --force" if stage else "--force"
                    raise StaleError(
                        f"{self.folder / name}: edited by hand, and {reason}; undo that to keep the edit, "
                        f"or make it anew with {force}"
                    )

    def run(self, options: object, build: Callable[[Path], dict]) -> bool:
        """Does the work if it is due.

        Args:
            options: The parsed options of `Parser.add_job`.
            build: Writes the outputs, named as under `folder`, into the empty folder it is given, and returns
                counts for the manifest.

        Returns: Whether outputs are now up to date, so that `--why` returns False for stale ones.
        """
        try:
            reason = self._forced() if options.force else self.stale_reason(options.verify)
            if reason and not options.force:
                self._refuse_to_mix(reason)
        except StaleError as e:
            if not options.why:
                raise
            reason = str(e)
        if options.why:
            return self._explain(reason)
        if reason is None:
            if self.is_final:
                self._check_upstream()
            log.info(f"{name_of(self.manifest.parent)}: up to date")
            self._refresh()
            self._clear_leftovers()
            return True
        lock(self._lock_file)
        if self.log_file:
            log.add_file(self.log_file)
        log.open_log([self.command, *sys.argv[1:]])
        log.info(f"{name_of(self.manifest.parent)}: {reason}")
        self._work(build)
        return True

    def _forced(self) -> str:
        """--force needs no old manifest: one that cannot be read is removed."""
        try:
            Manifest.read(self.manifest)
        except StaleError:
            self.manifest.unlink()
        return "--force"

    def _refresh(self) -> None:
        """After files were touched or copied: takes their new numbers, so that they need not be hashed again."""
        old = Manifest.read(self.manifest)
        inputs = {
            name: describe_input(Path(name), entry, hash_file=self.hash_file) for name, entry in old.inputs.items()
        }
        outputs = output_entries(self.manifest)
        outputs = {name: now if now[0] == was[0] else was for name, (was, now) in outputs.items()}
        if (inputs, outputs) != (old.inputs, old.outputs) and os.access(self.manifest.parent, os.W_OK):
            replace(old, inputs=inputs, outputs=outputs).write(self.manifest)

    def _clear_leftovers(self) -> None:
        """Removes what an earlier run left half-made when it was killed, unless a run is at work."""
        if self._stage.exists():
            with contextlib.suppress(InUseError, OSError):
                lock(self._lock_file, patience_s=0)
                shutil.rmtree(self._stage)

    def _explain(self, reason: str | None) -> bool:
        """Prints whether the work would be done, and tells the driver's later commands."""
        told = Path(os.environ.get("RETORT_WHY_FILE", os.devnull))
        upstream = self._upstream(told)
        where = name_of(self.manifest.parent)
        if upstream:
            print(f"{self.command} {where}: {upstream}" + (f"; {reason}" if reason else ""))
        else:
            print(f"{self.command} {where}: {reason or 'up to date'}")
        if upstream or reason:
            self._tell(told)
        return not (upstream or reason)

    def _tell(self, told: Path) -> None:
        """Lists for the driver's later commands what this one would write: its outputs, or its folder if unknown."""
        old = Manifest.read(self.manifest)
        paths = [self.folder / name for name in old.outputs] if old else [self.folder / "*"]
        with open(told, "a") as f:
            for path in [self.manifest, *paths]:
                f.write(f"{os.environ.get('RETORT_STAGE', '')}\t{os.path.abspath(path)}\n")

    def _upstream(self, told: Path) -> str | None:
        """Which earlier stage would first remake one of the inputs."""
        due = dict(reversed(line.rstrip("\n").split("\t", 1)) for line in open(told)) if told.is_file() else {}
        for path in map(Path, map(os.path.abspath, self.inputs)):
            unknown = [] if path.exists() else [str(parent / "*") for parent in path.parents]
            stage = next((due[name] for name in [str(path), *unknown] if name in due), None)
            if stage:
                return f"depends on stage {stage} ({name_of(path)}), which would run"
        return None

    def _work(self, build: Callable[[Path], dict]) -> None:
        started = time.monotonic()
        inputs = self._read_inputs()
        stage = self._stage
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        try:
            counts = build(stage) or {}
            outputs = self._commit(stage)
        except OSError as e:
            if e.filename is None:  # a failed write does not say where
                e.filename = str(self.folder)
            raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        made_by = {
            "commit": log.commit(),
            "host": platform.node(),
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": round(sum(os.times()[:4]), 1),
        }
        base = os.path.relpath(self.folder, self.manifest.parent)
        Manifest(self.command, self.format, self.settings, inputs, outputs, base, self.editable, counts, made_by).write(
            self.manifest
        )

    def _read_inputs(self) -> dict:
        """Describes the inputs before the work, and refuses those that are missing or stale themselves."""
        old = Manifest.read(self.manifest)
        known = old.inputs if old else {}

        def read(path: Path) -> tuple[str, Entry | str]:
            if path.is_dir():
                raise DataError(f"{path}: a folder, not a file")
            entry = describe_input(path, known.get(name_of(path)), hash_file=self.hash_file)
            if entry is None:
                raise DataError(f"{path}: missing; run the earlier stage that makes it")
            return name_of(path), entry

        if len(self.inputs) > MANY_FILES:
            inputs = dict(map_in_threads(read, self.inputs))
        else:
            inputs = dict(map(read, self.inputs))
        self._check_upstream()
        return inputs

    def _check_upstream(self) -> None:
        """Raises: StaleError when an input is not what the commands before this one would write now."""
        upstream = Upstream()
        for path in self.inputs:
            if reason := upstream.stale_reason(path):
                raise StaleError(reason)

    def _commit(self, stage: Path) -> dict:
        """Moves the finished files into place. From the first move to the new manifest there is none."""
        before = output_entries(self.manifest) if self.manifest.exists() else {}
        files = {path.relative_to(stage).as_posix(): path for path in sorted(stage.rglob("*")) if path.is_file()}
        flush(list(files.values()))
        self.manifest.unlink(missing_ok=True)
        outputs = {}
        for name, source in files.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
            outputs[name] = describe(target)
        for name in before.keys() - outputs.keys():
            (self.folder / name).unlink(missing_ok=True)
        for folder in {(self.folder / name).parent for name in outputs}:
            fsync(folder)
        return outputs


def name_of(path: Path) -> str:
    """How a path stands in manifests and messages: relative to the working directory where it is below it."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def flatten(settings: dict, prefix: str = "") -> dict:
    """Nested settings as one level of dotted keys."""
    flat = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def first_change(before: dict, after: dict) -> tuple[str, str] | None:
    """The first setting by name in which two differ, and how: ("distill.0.weight", "1.0 -> 0.3"); None if none does."""
    before, after = flatten(before), flatten(after)
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if all(isinstance(part, (list, tuple)) and all(isinstance(x, dict) for x in part) for part in (old, new)):
            tables = [{f"{key}.{i}": table for i, table in enumerate(part)} for part in (old, new)]
            return first_change(*tables) or (key, f"{len(old)} -> {len(new)} tables")
        return key, f"{show(old)} -> {show(new)}"
    return None


def show(value: object) -> str:
    """A setting's value in a message."""
    return "unset" if value is None else str(value)
