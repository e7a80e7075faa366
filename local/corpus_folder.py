"""The folder of a corpus: the right one is found near the one that was given, or told."""

from collections.abc import Callable, Iterator
from pathlib import Path

from utils.jobs.errors import DataError

MAX_DEPTH = 3  # of folders in folders, as in LDC93S1/timit/TIMIT
MAX_SHOWN = 3


def find_corpus(folder: Path, is_corpus: Callable[[Path], bool], expected: str, inner: tuple[str, ...] = ()) -> Path:
    """The corpus: the folder that was given, or one in it that has a name which the corpus is published under.

    Args:
        folder: What --corpus-dir names.
        is_corpus: Whether a folder is the corpus.
        expected: What such a folder holds, for the message.
        inner: Names of folders, in small letters, that the corpus may lie in, several levels deep.

    Raises: DataError that says what was expected and found, and the nearest match one level up or down.
    """

    def holds(root: Path) -> bool:
        try:
            return is_corpus(root)
        except PermissionError:  # of a folder beside it, such as lost+found
            return False

    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; --corpus-dir must hold {expected}")
    if found := next(filter(holds, within(folder, inner)), None):
        return found
    around = (folder.absolute().parent, *subfolders(folder))
    near = next((root for place in around for root in within(place, inner) if holds(root)), None)
    names = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(names[:MAX_SHOWN]) + (", …" if len(names) > MAX_SHOWN else "")
    hint = f"; did you mean {near}?" if near else ""
    raise DataError(f"{folder}: expected {expected}, found {shown or 'nothing'}{hint}")


def within(folder: Path, inner: tuple[str, ...], depth: int = MAX_DEPTH) -> Iterator[Path]:
    """A folder, and those in it whose names are in `inner`."""
    yield folder
    for path in subfolders(folder) if depth else ():
        if path.name.lower() in inner:
            yield from within(path, inner, depth - 1)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones; none where it may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    except PermissionError:
        return []
