"""data/<set>, model folders -> one picture of an utterance: what each model heard, and when

    python3 -m steps.explain --out utt.png data/test george-3_12 exp/teacher/seed0 exp/student/seed0
    python3 -m steps.explain --out utt.png data/test george-3_12 exp/teacher/seed0=data/test_wave exp/student/seed0

A model that hears other features, or the same utterance through another channel, stands with its own data directory.

Under the features each model has a panel with its posteriors of the tokens that it or the transcript holds (of a
hidden Markov model: the sums of their states), the transcript aligned to them (crosses) and its own best path
(circles); above them, where its last layer's states are large. A model whose heads say nothing of single frames has
its best path alone. Self-attention (of the last layer, the mean of its heads) has a panel of its own: where each
frame, from the top down, looks; so has each attention decoder: where it (or its last layer) listens while it reads
the transcript. The file's ending says its format.
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


def heard_by(model: str, data_dir: Path, utt_id: str) -> tuple[Path, Path, str]:
    """(model folder, its data directory, what feats.scp holds there of an utterance), of an argument MODEL[=DATA_DIR].

    Raises: UsageError where the utterance is not there.
    """
    folder, _, own = model.partition("=") if not Path(model).is_dir() else (model, "", "")
    home = Path(own) if own else data_dir
    entries = DataDir.read(home, "feats.scp").tables["feats.scp"]
    if utt_id not in entries:
        raise UsageError(f"{home}/feats.scp holds no utterance '{utt_id}'")
    return Path(folder), home, entries[utt_id]


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
    parser.add_argument("data_dir", type=Path, help="a set that holds the utterance, with features")
    parser.add_argument("utt_id", help="the utterance")
    models = {"nargs": "+", "metavar": "MODEL[=DATA_DIR]"}
    parser.add_argument("models", **models, help="model folders, as teacher, student, distilled student")
    args = parser.parse_args(argv)
    check_out(args.out)
    heard = [heard_by(model, args.data_dir, args.utt_id) for model in args.models]
    for folder, _, _ in heard:
        fingerprint(folder / "manifest.json")  # notices what was altered
    text_file = args.data_dir / "text"
    texts = read_table(text_file, has_value=False) if text_file.is_file() else {}

    from steps.reporting.explained import explain, picture

    lang = args.lang_dir or args.data_dir.parent / "lang"
    text = texts.get(args.utt_id, "")
    views = [explain(folder, data_dir, args.utt_id, entry, lang) for folder, data_dir, entry in heard]
    write(args.out, picture(args.utt_id, text, views, args.out.suffix[1:]))
    log.info(f"{args.out}: '{args.utt_id}' as {len(views)} models hear it")


if __name__ == "__main__":
    run(main)
