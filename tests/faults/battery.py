"""Runs the fault battery whole and writes its figures.

python3 -m tests.faults.battery --work DIR --only saving audio --out tests/faults/RESULTS.md

Each experiment leaves its rows in the work folder, and is not done again as long as they lie there.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from tests.faults import audio, bit_flips, cost, kills, saving, validation
from tests.faults.broken import BROKEN
from tests.faults.directories import FAULTS, ODD, write_valid
from tests.faults.io_errors import FAULTS as IO_FAULTS
from tests.faults.io_errors import SWEPT, Sweep
from tests.faults.recipe import ForkedRecipe
from tests.faults.rows import Row, merged, noticed, row, to_markdown
from utils.data_dir.validate import CHECKS
from utils.jobs.log import commit

FLIPS, KILLS_IN_SAVING, CONTROLS_IN_SAVING = 300, 1000, 100
CHAINS, KILLS_IN_A_RUN = (0, 1), 50
KILLS = f"kill -9 all through {len(CHAINS)} runs of the demo: weights, hypotheses, scores as without, no training anew"
AUDIO_FILES = 120  # of each of five formats


def directories(folder: Path) -> list[Row]:
    """The validator, and the repair that it proposes."""
    told, cured = [], []
    for number, name in enumerate(FAULTS):
        told.append("" if validation.is_told(write_valid(folder / f"t{number}" / "train"), name) else name)
    for number, name in enumerate(validation.CURABLE):
        cured.append(validation.cure(write_valid(folder / f"c{number}" / "train"), name))
    odd = ["; ".join(validation.faults_of(write(folder / f"o{i}"))) for i, write in enumerate(ODD.values())]
    missed = validation.unnoticed_checks(folder / "checks")
    control = f"{len(CHECKS) - len(missed)} of {len(CHECKS)} checks are missed when taken out"
    return [
        row("data directories with one fault: refused with place and remedy", told, control),
        row("repairable ones: valid after the command that is proposed", cured),
        row("odd but valid data directories: pass", odd),
    ]


def malformed_audio(folder: Path) -> list[Row]:
    """Mutated files of each format."""
    rows = []
    for kind in audio.KINDS:
        problems, refused = audio.malform(folder, kind, AUDIO_FILES)
        rows.append(row(f"malformed {kind}: refused by name, or read whole", problems, note=f"{refused} refused"))
    return rows


def flipped_bits(folder: Path) -> list[Row]:
    """Bits in stored artefacts, with size and times as they were."""
    recipe = ForkedRecipe(folder).path
    controls = {"soft labels": "trust_soft_labels", "checkpoints": "trust_tensors"}
    rows = []
    for kind, (_, _, means) in bit_flips.KINDS.items():
        name = f"flipped bit in {kind.split(' (')[0]}: noticed by {'its use' if means == 'use' else means}"
        rows.append(row(name, bit_flips.flip(recipe, kind, FLIPS)))
    for kind, control in controls.items():
        child = os.fork()
        if not child:  # the build stays broken in a process of its own
            BROKEN[control]()
            (folder / control).write_text(json.dumps(bit_flips.flip(recipe, kind, 50)))
            os._exit(0)
        os.waitpid(child, 0)
        found = json.loads((folder / control).read_text())
        rows = [replace(r, control=noticed(found)) if f" in {kind}: noticed by its use" in r.name else r for r in rows]
    return rows


def killed_savers(folder: Path) -> list[Row]:
    """Kills of the writer of checkpoints."""
    saver = saving.Saver(folder / "calls")
    at_calls = [saver.kill_at(call) for call in range(1, saver.calls() + 1)]
    broken_calls = [saver.kill_at(call, "save_in_place") for call in range(1, 10)]
    at_random, saver = saving.kill_at_random(folder / "random", KILLS_IN_SAVING)
    note = f"2 MB each; {saver.saved / len(at_random):.1f} saved before a kill, {saver.in_flight} kills within a write"
    broken, _ = saving.kill_at_random(folder / "broken", CONTROLS_IN_SAVING, broken="save_in_place")
    return [
        row("kill -9 at each I/O call of saving: a checkpoint can be read", at_calls, noticed(broken_calls)),
        row("kill -9 at random while saving: a checkpoint can be read", at_random, noticed(broken), note),
    ]


def failing_calls(folder: Path, kind: str, name: str) -> list[Row]:
    """Every I/O call of one step; `kill` also where it is made again over old outputs."""
    sweep, problems = Sweep(folder), []
    for is_fresh in (True, False) if kind == "kill" else (True,):
        problems += sweep.sweep(sweep.steps[name], kind, is_fresh)
    control = ""
    if name == "tokens":
        control = noticed(list(sweep.sweep(sweep.steps[name], kind, True, broken="believe_files"))) + " (tokens)"
    return [row(f"{kind} at each I/O call of the stages: nothing wrong is believed, a rerun helps", problems, control)]


def killed_runs(folder: Path) -> list[Row]:
    """Kills all through the demo."""
    done = [kills.chain(folder, seed, KILLS_IN_A_RUN) for seed in CHAINS]
    found = [kill for one in done for kill in one["kills"]]
    problems = [one["problem"] for one in done for _ in one["kills"]]
    between = sum(bool(kill["unfinished"]) for kill in found)
    alone = sum(kill["was_driver_only"] for kill in found)
    note = f"{between} between first and last checkpoint, {alone} of the driver alone; compared at the end of each run"
    return [row(KILLS, problems, note=note)]


def controls_of_kills(folder: Path) -> list[Row]:
    """Trainings that go on without the state of their noise, without their place in the epoch, or not at all."""
    found = [kills.control(folder, method) for method in ("restore_noise", "restore_position", "resume")]
    return [Row(KILLS, 0, 0, f"{sum(found)} of {len(found)} are noticed")]


def bookkeeping(folder: Path) -> list[Row]:
    """What being sure costs."""
    found = cost.measure(folder)
    note = f"{found.spent_s:.1f} s of {found.total_s:.0f} s in {found.commands} commands: {found.share:.2f} %"
    name = f"manifests, hashes and fsync in a run of the demo: under {cost.LIMIT_PERCENT} %"
    return [Row(name, 1, int(found.share < cost.LIMIT_PERCENT), note=note)]


EXPERIMENTS = {
    "directories": directories,
    "audio": malformed_audio,
    "flips": flipped_bits,
    "saving": killed_savers,
    **{
        f"{kind.lower()}-{name.replace(' ', '-')}": partial(failing_calls, kind=kind, name=name)
        for kind in IO_FAULTS
        for name in SWEPT
    },
    "controls": controls_of_kills,
    "kills": killed_runs,
    "cost": bookkeeping,
}


def rows_of(work: Path, name: str) -> list[Row]:
    """The rows of an experiment, which is done if it was not."""
    kept = work / f"{name}.json"
    if not kept.exists():
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=work) as folder:
            rows = EXPERIMENTS[name](work / name if name == "kills" else Path(folder))
        made = {"commit": commit(), "seconds": round(time.monotonic() - started), "rows": [asdict(one) for one in rows]}
        kept.write_text(json.dumps(made, indent=1))
    return [Row(**one) for one in json.loads(kept.read_text())["rows"]]


TITLE = """# The fault battery

Made by `tests/faults/run.sh --out FILE`. A control is the same trial on a build that is broken on purpose, and has to
fail.

Flipped bits keep a file's size and times, as a rotting disk does: models, checkpoints and soft labels are refused when
they are used; features, which are Kaldi's archives, by `--verify`. A file that was written to has other times, and is
noticed at once.

The calls that fail are open, read, write, close, fsync, truncate, rename, remove and mkdir of a command's own process,
on the recipe and the corpus, with `--nj 1`; mapped reads (weights, soft labels) are not among them. After each fault
every manifest is verified, and the step is run again: it must make the bytes that it made without a fault.
"""


def main() -> int:
    """Prints the table, and writes it where asked; 1 where something did not go as required."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "retort-faults")
    parser.add_argument(
        "--only", nargs="+", default=list(EXPERIMENTS), help="experiments, or beginnings of their names"
    )
    parser.add_argument("--out", type=Path, default=None, help="write the table there too, as Markdown")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    chosen = [name for name in EXPERIMENTS if any(f"{name}-".startswith(f"{only}-") for only in args.only)]
    for name in chosen:
        print(f"battery: {name}", file=sys.stderr, flush=True)
        rows += rows_of(args.work, name)
    made = [json.loads((args.work / f"{name}.json").read_text()) for name in chosen]
    commits = ", ".join(sorted({one["commit"] for one in made}))
    machine = f"{os.cpu_count()} cores of {platform.machine()}, commit {commits}, {sum(m['seconds'] for m in made):,} s"
    rows = merged(rows)
    left_out = [name for name in EXPERIMENTS if name not in chosen]
    machine += f"\n\nLeft out: {', '.join(left_out)}." if left_out else ""
    text = f"{to_markdown(rows)}\n{machine}\n"
    print(f"\n{text}", end="", flush=True)
    if args.out:
        args.out.write_text(f"{TITLE}\n{text}", encoding="utf-8")
    return int(any(r.passed != r.trials for r in rows))


if __name__ == "__main__":
    sys.exit(main())
