"""What the hypotheses of a decoded folder were written in."""

import json
from pathlib import Path

from steps.config.schema import Config
from steps.config.systems import writing_head
from utils.data_dir.tables import text_file


def heads_of(decode_dir: Path) -> dict[str, dict]:
    """The heads of the model that a folder was decoded with, if one is known."""
    config = decode_dir.parent / "config.json"
    return json.loads(config.read_text(encoding="utf-8")).get("heads", {}) if config.is_file() else {}


def written(config: Config, data_dir: Path, decode_dir: Path) -> tuple[str, str, Path]:
    """(unit, lang folder) of the tokens that the hypotheses were written in, and the transcripts to compare with."""
    heads = heads_of(decode_dir)
    head = heads.get(writing_head(heads, config.decode.head), {})
    if not head.get("tokens"):
        return config.tokens.unit, "lang", data_dir / "text"
    return head["unit"], f"lang_{head['tokens']}", text_file(data_dir, head["tokens"])
