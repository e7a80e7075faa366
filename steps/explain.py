"""data/<set>, model folders -> one picture of an utterance: what each model heard, and when

    python3 -m steps.explain --out utt.png data/test george-3_12 exp/teacher/seed0 exp/student/seed0

Under the features each model has a panel with its posteriors of the tokens that it or the transcript holds, the
transcript aligned to them (crosses) and its own best path (circles); above them, where its last layer's states are
large. Self-attention (of the last layer, the mean of its heads) has a panel of its own: where each frame, from the top
down, looks; so has each attention decoder: where it (or its last layer) listens while it reads the transcript. The
file's ending says its format.
"""

from pathlib import Path

from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.cli import Parser, run
from utils.jobs.errors import MachineError, UsageError
from utils.jobs.files import write_atomic
from utils.jobs.manifest import fingerprint

ENDINGS = (".png", ".svg", ".pdf")


def check_out(path: Path) -> None:
    """Raises UsageError where no picture can have this name."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"--out '{path}': end it with {' or '.join(ENDINGS)}")
    if path.is_dir():
        raise UsageError(f"--out '{path}': a folder has this name; write the name of a file")
    for above in path.parents:
        if above.exists() and not above.is_dir():
            raise UsageError(f"--out '{path}': '{above}' is a file, not a folder")


def write(path: Path, drawn: bytes) -> None:
    """Writes a picture, and the folders above it. Raises: MachineError where the machine does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, drawn)
    except OSError as e:
        raise MachineError(f"{path}: {e.strerror}") from None


def main(argv: list[str]) -> None:
    """Draws one utterance."""
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help=f"the picture, {', '.join(ENDINGS)}")
    parser.add_argument("--lang-dir", type=Path, default=None, help="default: lang beside the data directory")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("utt_id")
    parser.add_argument("models", type=Path, nargs="+", help="model folders, as teacher, student, distilled student")
    args = parser.parse_args(argv)
    check_out(args.out)
    data = DataDir.read(args.data_dir, "feats.scp")
    if args.utt_id not in data.tables["feats.scp"]:
        raise UsageError(f"{args.data_dir}/feats.scp holds no utterance '{args.utt_id}'")
    for folder in args.models:
        fingerprint(folder / "manifest.json")  # notices what was altered
    text_file = args.data_dir / "text"
    texts = read_table(text_file, has_value=False) if text_file.is_file() else {}

    from steps.reporting.explained import explain, picture

    lang = args.lang_dir or args.data_dir.parent / "lang"
    entry, text = data.tables["feats.scp"][args.utt_id], texts.get(args.utt_id, "")
    views = [explain(folder, args.data_dir, args.utt_id, entry, lang) for folder in args.models]
    write(args.out, picture(args.utt_id, text, views, args.out.suffix[1:]))
    log.info(f"{args.out}: '{args.utt_id}' as {len(views)} models hear it")


if __name__ == "__main__":
    run(main)
