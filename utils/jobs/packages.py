"""Packages that only some settings need."""

from importlib import import_module
from types import ModuleType

from utils.jobs.errors import MachineError


def import_for(setting: str, package: str, module: str, hint: str = "") -> ModuleType:
    """A module that a setting needs. Raises: MachineError that names the package, when it is not installed."""
    try:
        return import_module(module)
    except ImportError as e:
        remedy = f"run: python3 -m pip install {package}{hint}"
        raise MachineError(f"{setting} needs the package {package} ({e}); {remedy}") from None
