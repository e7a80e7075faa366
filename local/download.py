"""A corpus from the network: fetched, checked against a pinned digest, unpacked.

The digest is that of the corpus as it lies in the folder, so it holds for any archive of the same files.
"""

import hashlib
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

from utils.jobs.errors import DataError, MachineError
from utils.jobs.files import sha256

TIMEOUT_S = 60
MAX_BYTES = 100 * 2**30  # unpacked


def digest_of_files(files: list[Path]) -> str:
    """SHA-256 over `<name> <sha256>` lines of files, sorted by name."""
    lines = sorted(f"{path.name} {sha256(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch(url: str, path: Path) -> None:
    """Downloads a file, going on where an earlier attempt stopped. Raises: MachineError when the network fails."""
    part = path.with_name(path.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as source:
            is_resumed = source.status == 206
            total = int(source.headers.get("Content-Length") or 0)
            with (
                open(part, "ab" if is_resumed else "wb") as target,
                tqdm(total=total, unit="B", unit_scale=True) as bar,
            ):
                while block := source.read(1 << 20):
                    target.write(block)
                    bar.update(len(block))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as e:
        raise MachineError(f"{url}: cannot be downloaded ({e}); try again, or give --corpus-dir") from None
    if total and part.stat().st_size != total + (start if is_resumed else 0):
        raise MachineError(f"{url}: ended early; run the same command again to go on")
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
                check_size(archive, sum(info.size for info in t.getmembers()))
                t.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as e:
        raise DataError(f"{archive}: cannot be unpacked ({e}); delete it and run again") from None


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
    keep.mkdir(parents=True, exist_ok=True)
    archive = keep / url.rsplit("/", 1)[1]
    if not archive.exists():
        fetch(url, archive)
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
