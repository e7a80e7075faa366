"""requirements files -> exit status 0 if this Python satisfies them and the packages really import, else 1

    python3 utils/check_environment.py requirements.txt

Prints on stdout what is missing. Uses nothing but the standard library and pip's own copy of `packaging`.
"""

import importlib
import importlib.metadata
import sys
from pathlib import Path

MIN_PYTHON = (3, 11)
IMPORTS = ("torch", "torchaudio", "soundfile", "kaldiio", "rapidfuzz", "safetensors", "scipy", "soxr")


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a file, without comments."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def unmet(line: str) -> str | None:
    """Why a requirement is not met by this Python, or None."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement

    requirement = Requirement(line)
    if requirement.marker and not requirement.marker.evaluate():  # not for this Python
        return None
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} {version} is installed, {requirement.specifier} is needed"
    return None


def broken(name: str) -> str | None:
    """Why a package does not import, or None. A CPU-only torch beside the index's torchaudio raises OSError."""
    try:
        importlib.import_module(name)
    except Exception as e:  # whatever it raises, the package cannot be used
        return f"{name} does not import: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
    return None


def faults(paths: list[Path]) -> list[str]:
    """All that is wrong with this Python; imports are tried only when the versions are right."""
    if sys.version_info < MIN_PYTHON:
        return [f"Python {sys.version.split()[0]} is too old; 3.11 or newer is needed"]
    found = [fault for path in paths for line in requirement_lines(path) if (fault := unmet(line))]
    return found or [fault for name in IMPORTS if (fault := broken(name))]


if __name__ == "__main__":
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] in (["--help"], ["-h"]) else 2)
    found = faults([Path(arg) for arg in sys.argv[1:]])
    print("\n".join(found))
    sys.exit(bool(found))
