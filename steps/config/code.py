"""The code that a system's weights depend on and that users edit: its encoder, heads and losses, and what these use."""

import ast
from pathlib import Path

from steps.config.schema import SystemConfig
from steps.config.signature import code_digest
from steps.heads.registry import head_file
from steps.losses.registry import loss_file
from steps.nnet.registry import encoder_file

ROOT = Path(__file__).parents[2]
FOLDERS = ("nnet", "heads", "losses", "distillation")
NOT_PARTS = ("model.py", "registry.py")  # which put the parts together


def code_of(system: SystemConfig) -> dict[str, str]:
    """The digest of each file, by its name."""
    files = [encoder_file(system.model["encoder"]), *(head_file(table["type"]) for table in system.heads.values())]
    files += [loss_file(term.loss) for term in system.distill]
    found = {path for file in files for path in parts_of(file)}
    return {f"{path.parent.name}/{path.name}": code_digest(path) for path in sorted(found)}


def parts_of(file: Path) -> set[Path]:
    """A file, and those of the same folders that it imports, or that these import."""
    found, ahead = set(), [file]
    while ahead:
        path = ahead.pop()
        if path in found or path.name in NOT_PARTS:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (node.module or "").split(".") if isinstance(node, ast.ImportFrom) else []
            if len(names) == 3 and names[0] == "steps" and names[1] in FOLDERS:
                ahead.append(ROOT.joinpath(*names).with_suffix(".py"))
    return found
