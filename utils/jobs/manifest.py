"""What a command read and wrote, so that it works again only when something changed.

A manifest lists inputs and outputs as `[sha256, size, mtime_ns, ctime_ns, inode]`. A file whose last four
numbers are unchanged is trusted; otherwise it is hashed again. An input that is itself a manifest stands for
all outputs of the command that wrote it, so that hashes chain from the audio to the report.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from utils.jobs import log
from utils.jobs.errors import StaleError
from utils.jobs.files import sha256, sha256_text, write_atomic

Entry = list  # [sha256, size, mtime_ns, ctime_ns, inode]


def describe(
    path: Path, known: Entry | None = None, verify: bool = False, hash_file: Callable[[Path], str] = sha256
) -> Entry | None:
    """The entry of a file, or None when it is missing; `known` is returned when the file's numbers match it."""
    try:
        s = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    numbers = [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino]
    if known and known[1:] == numbers and not verify:
        return known
    return [hash_file(path), *numbers]


def is_manifest(path: Path) -> bool:
    """Whether an input path names a manifest."""
    return path.name == "manifest.json" or path.name.endswith(".manifest.json")


@dataclass
class Manifest:
    """The content of one manifest file. Output names are relative to `base`, itself relative to the manifest."""

    command: str
    format: int
    settings: dict
    inputs: dict[str, Entry | str]
    outputs: dict[str, Entry]
    base: str = "."
    editable: bool = False
    counts: dict = field(default_factory=dict)
    made_by: dict = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """The manifest at `path`, or None when there is none. Raises: StaleError when it cannot be read."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError):
            raise StaleError(
                f"{path}: cannot be read as a manifest; delete it, or run its command with --force"
            ) from None

    def places(self, path: Path) -> dict[str, Path]:
        """Where each output lies, of the manifest at `path`: seen from there, whatever folder may be a link."""
        return {name: Path(os.path.normpath(path.parent / self.base / name)) for name in self.outputs}

    def write(self, path: Path) -> None:
        """Writes the manifest, durably."""
        pieces = json.JSONEncoder(indent=1, ensure_ascii=False).iterencode(self.__dict__)
        write_atomic(path, chain(pieces, "\n"))  # the text of a large corpus's manifest takes 100 MB


def output_entries(path: Path, verify: bool = False) -> dict[str, tuple[Entry, Entry | None]]:
    """(recorded, present) entry of each output listed in the manifest at `path`."""
    manifest = Manifest.read(path)
    if manifest is None:
        raise FileNotFoundError(path)
    places = manifest.places(path)
    return {name: (entry, describe(places[name], entry, verify)) for name, entry in manifest.outputs.items()}


def fingerprint(path: Path, verify: bool = False) -> str | None:
    """One hash over the present outputs of the command that wrote the manifest `path`; None if it is missing.

    Raises: StaleError when an output is missing, or differs and is not of a kind that people edit.
    """
    manifest = Manifest.read(path)
    if manifest is None:
        return None
    lines, places = [], manifest.places(path)
    for name, (recorded, present) in output_entries(path, verify).items():
        where = places[name]
        if present is None:
            raise StaleError(f"{where}: missing; run {manifest.command} again")
        if present[0] != recorded[0] and not manifest.editable:
            raise StaleError(f"{where}: not what {manifest.command} wrote; run it again with --force")
        lines.append(f"{name} {present[0]}\n")
    return sha256_text("".join(sorted(lines)))


def check_made(path: Path) -> None:
    """Raises StaleError when there is no manifest at `path`, or an output that it lists is missing or was altered."""
    if fingerprint(path) is None:
        raise StaleError(f"{path}: missing; run its command again")


def describe_input(
    path: Path,
    known: Entry | str | None = None,
    verify: bool = False,
    hash_file: Callable[[Path], str] = sha256,
) -> Entry | str | None:
    """The entry of a file, or the fingerprint of a manifest, or None when it is missing."""
    if is_manifest(path):
        return fingerprint(path, verify)
    return describe(path, known if isinstance(known, list) else None, verify, hash_file)


def digest(entry: Entry | str | None) -> str | None:
    """The hash in an entry of either kind."""
    return entry[0] if isinstance(entry, list) else entry


class Upstream:
    """Follows files to the commands that wrote them, and those to what they read. Looks at everything once."""

    def __init__(self) -> None:
        self.written: dict[Path, dict[str, Path]] = {}  # folder -> output -> manifest, of the manifests in it
        self.followed: set[Path] = set()
        self.is_elsewhere = False  # whether what was read lay in another working directory

    def stale_reason(self, path: Path) -> str | None:
        """Why a file, or what a manifest lists, is not what its commands would write now; None when all is well."""
        made_by = path if is_manifest(path) else self.manifest_of(path)
        if made_by is None or made_by in self.followed:
            return None
        self.followed.add(made_by)
        manifest = Manifest.read(made_by)
        if manifest is None:
            return None
        fingerprint(made_by)  # raises where an output was altered
        for name, entry in manifest.inputs.items():
            present = describe_input(Path(name), entry)
            if present is None and not self.is_elsewhere and not Path(Path(name).parts[0]).exists():
                self.is_elsewhere = True
                told = "a change of it is not noticed; commands run in the recipe's folder"
                log.warn(f"{made_by.parent}: {manifest.command} read {name}, which is not here: {told}")
            if present is not None and digest(present) != digest(entry):
                where = os.path.normpath(made_by.parent / manifest.base)
                return f"{where}: stale, {manifest.command} read {name}, which changed since; run its stage again"
            if reason := self.stale_reason(Path(name)):
                return reason
        return None

    def manifest_of(self, path: Path) -> Path | None:
        """The manifest that lists a file, in its folder or the one above; None if there is none."""
        for folder in (path.parent, path.parent.parent):
            if folder not in self.written:
                self.written[folder] = self.outputs_of(folder)
            found = self.written[folder].get(os.path.normpath(path))
            if found:
                return found
        return None

    def outputs_of(self, folder: Path) -> dict[str, Path]:
        """The outputs that the manifests in a folder list."""
        found = {}
        for path in sorted(folder.glob("*manifest.json")):
            try:
                manifest = Manifest.read(path)
            except StaleError:  # another program's, in a corpus say
                continue
            found |= dict.fromkeys(map(str, manifest.places(path).values()), path) if manifest else {}
        return found
