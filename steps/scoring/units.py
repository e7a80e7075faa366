"""Text as the units that errors are counted in."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from steps.config.schema import ScoreConfig
from utils.data_dir.tables import read_lines
from utils.jobs.errors import DataError, UsageError

NORMALISATION = {"word": "NFC, single spaces", "char": "NFC, spaces not counted", "phone": "single spaces"}


def read_map(path: Path) -> dict[str, str]:
    """A table of units, `<unit> <unit>` a line; a unit that stands alone is mapped to nothing, the empty text.

    Raises: UsageError when the file is missing, or a line is of another form or names a unit again.
    """
    try:
        lines = read_lines(path)
    except DataError as e:
        raise UsageError(f"{e}; it is a map of units") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        unit, *to = line.split() or [""]
        if not unit or len(to) > 1:
            raise UsageError(f"{path}:{number}: '{line[:60]}' is not '<unit> <unit>', or '<unit>' for one to leave out")
        if unit in found:
            raise UsageError(f"{path}:{number}: '{unit}' stands in an earlier line already")
        found[unit] = "".join(to)
    return found


@dataclass(frozen=True)
class Units:
    """The units of an error rate.

    Attributes:
        name: word, char or phone (which are written as words).
        map: What units are counted as; the empty text leaves one out. Others are counted as they are.
        map_name: Of the file that the map comes from.
    """

    name: str
    map: dict[str, str] = field(default_factory=dict)
    map_name: str = ""

    @classmethod
    def of(cls, settings: ScoreConfig) -> "Units":
        """The units of [score]. Raises: UsageError when its map cannot be used."""
        path = Path(settings.map)
        return cls(settings.unit, read_map(path), path.name) if settings.map else cls(settings.unit)

    @property
    def normalisation(self) -> str:
        """What is done to a text before its units are compared, in words."""
        return NORMALISATION[self.name] + (f", mapped by {self.map_name}" if self.map_name else "")

    def split(self, text: str) -> list[str]:
        """The units of a transcript."""
        words = unicodedata.normalize("NFC", text).split()
        units = list("".join(words)) if self.name == "char" else words
        return [mapped for unit in units if (mapped := self.map.get(unit, unit))] if self.map else units
