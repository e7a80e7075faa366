"""A corpus from the network: fetched, checked against a pinned digest, unpacked.

The digest is that of the archive, or that of the corpus as it lies in the folder: it holds for any archive of the
same files.
"""

import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from http import HTTPStatus
from pathlib import Path

from steps.training.reports import progress_bar
from utils.jobs.cli import MACHINE_FAULTS
from utils.jobs.errors import DataError, MachineError, UsageError
from utils.jobs.files import sha256

TIMEOUT_S = 60
UNPACKING_FAULTS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError)
UNPACKING_FAULTS += (RuntimeError,)  # a zip archive with a password, or of an unknown method
BYTES = {"unit": "B", "unit_scale": True}
HAS_FILTER = hasattr(tarfile, "data_filter")  # not in Python 3.11.0 to 3.11.3
MAX_BYTES = 100 * 2**30  # unpacked


def digest_of_files(files: list[Path]) -> str:
    """SHA-256 over `<name> <sha256>` lines of files, sorted by name."""
    lines = sorted(f"{path.name} {sha256(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch(url: str, path: Path) -> None:
    """Downloads a file, going on where an earlier attempt stopped. Raises: MachineError when the network fails."""
    part = path.with_name(path.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    remedy = "run the same command again to go on, or give --corpus-dir"
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    except ValueError:
        raise UsageError(f"'{url}' is no address to download from") from None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as source:
            is_resumed = source.status == 206
            total = int(source.headers.get("Content-Length") or 0)
            with open(part, "ab" if is_resumed else "wb") as target, progress_bar(total, path.name, **BYTES) as bar:
                while block := source.read(1 << 20):
                    target.write(block)
                    bar.update(len(block))
    except urllib.error.HTTPError as e:
        if e.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise MachineError(f"{url}: cannot be downloaded ({e}); {remedy}") from None
        if e.headers.get("Content-Range") != f"bytes */{start}":  # else all of it is there
            part.unlink()
            raise MachineError(f"{url}: another file than the one that was begun; {remedy}") from None
    except (OSError, http.client.HTTPException) as e:
        if isinstance(e, OSError) and e.errno in MACHINE_FAULTS:  # of the disk
            raise
        raise MachineError(f"{url}: cannot be downloaded ({e}); {remedy}") from None
    else:
        if total and part.stat().st_size != total + (start if is_resumed else 0):
            raise MachineError(f"{url}: ended early; {remedy}")
    part.rename(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip or tar archive; nothing can land outside `folder`. Raises: DataError for any other file."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as z:
                check_size(archive, sum(info.file_size for info in z.infolist()))
                z.extractall(folder)
        else:
            with tarfile.open(archive) as t:
                unpack_tar(archive, t, folder)
    except UNPACKING_FAULTS as e:
        why = " ".join(str(e).split())
        raise DataError(f"{archive}: cannot be unpacked ({why}); delete it and run again") from None


def unpack_tar(archive: Path, t: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an open archive in one pass, so that a large one is decompressed once, and no list of it is kept."""
    size = 0
    for member in t:
        size += member.size
        check_size(archive, size)
        if HAS_FILTER:
            t.extract(member, folder, filter="data")
        else:
            check_member(member, folder)
            t.extract(member, folder)
        t.members = []


def check_member(member: tarfile.TarInfo, folder: Path) -> None:
    """Raises TarError for what is no file or folder, or would land elsewhere."""
    inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
    if not inside or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"'{member.name}' is a link or lies outside")


def check_size(archive: Path, size: int) -> None:
    """Raises DataError for an archive that would unpack to an absurd size."""
    if size > MAX_BYTES:
        raise DataError(f"{archive}: would unpack to {size / 2**30:.0f} GiB; not the corpus")


def download(url: str, pattern: str, digest: str, stage: Path, keep: Path) -> None:
    """Puts the files of an archive that match `pattern` into `stage`.

    Args:
        url: Of the archive.
        pattern: A glob for the files of the corpus inside it, such as "**/recordings/*.wav".
        digest: `digest_of_files` of these files.
        stage: An empty folder for them.
        keep: A folder for the archive while it is incomplete, so that a later run goes on.

    Raises: DataError when the files are not those that were pinned; MachineError when the network fails.
    """
    archive = fetched(url, keep)
    inside = stage / ".unpacked"
    unpack(archive, inside)
    files = sorted(path for path in inside.glob(pattern) if path.is_file())
    if digest_of_files(files) != digest:
        archive.unlink()
        raise DataError(f"{url}: not the corpus that is pinned ({len(files)} files with another digest); deleted")
    for path in files:
        path.rename(stage / path.name)
    shutil.rmtree(inside)
    archive.unlink()


def fetched(url: str, keep: Path) -> Path:
    """The archive of a URL in the folder `keep`, downloaded if it is not there."""
    keep.mkdir(parents=True, exist_ok=True)
    archive = keep / url.rsplit("/", 1)[1]
    if not archive.exists():
        fetch(url, archive)
    return archive


def download_archive(url: str, digest: str, stage: Path, keep: Path) -> Path:
    """Unpacks an archive into `stage`; returns where the archive lies, to be deleted when the work is done.

    Args:
        url: Of the archive.
        digest: Its SHA-256.
        stage: An empty folder.
        keep: A folder for the archive, so that a later run goes on.

    Raises: DataError when it is not the archive that was pinned; MachineError when the network fails.
    """
    archive = fetched(url, keep)
    if sha256(archive) != digest:
        archive.unlink()
        raise DataError(f"{url}: not the archive that is pinned (another SHA-256); deleted, run again to fetch it anew")
    unpack(archive, stage)
    return archive
