"""conf.toml, exp/<teacher>, soft labels -> exp/budget/<system>.json: the shape of a student within a budget

    python3 -m steps.distil_to_budget --max-mb 0.5 --max-rtf 0.05 --system student --nj 2 exp
    python3 -m steps.distil_to_budget --max-mb 2 --try 'model.dim=[96,144]' --try 'train.weight_bits=[0,8]' exp

Tries shapes of a distilled system, after stage 6 of the recipe. Those whose weights take more than --max-mb (10^6
bytes), or that decode more slowly than --max-rtf (seconds a second of speech, on one core), are left out: beforehand,
or in the end where the trained weights decide their speed, as under a beam. The others are distilled with a quarter
of the updates, the better half of them on dev with half, and the better half of those with all (successive halving:
Jamieson and Talwalkar 2016). What no shape matches that is as small and as fast stays among them, and in the end is
the frontier that the table shows. Run again, it goes on where it stopped; write the shape that you choose into
conf.toml.
"""

import json
import math
import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from steps.config.load import load
from steps.config.schema import Config, DecodeConfig, SystemConfig
from steps.config.systems import can_transcribe, system_named, writing_head
from steps.config.tuning import Point, name_of_point, parse_values, points_of, to_overrides
from utils.jobs import log
from utils.jobs.cli import Parser, positive, positive_real, run
from utils.jobs.commands import Commands
from utils.jobs.errors import UsageError
from utils.jobs.files import to_json, write_atomic
from utils.jobs.lock import lock
from utils.jobs.manifest import Manifest

FRAMEWISE = ("ctc", "hmm")  # heads that are decoded greedily as fast with any weights
ALL_WRONG = 100.0  # percent
RUNGS = (4, 2, 1)  # parts of all updates
SCALES = (0.35, 0.5, 0.7, 1.0, 1.4)  # of the width, where nothing else is asked for
NUM_UTTS = 20  # of dev, that speed is measured on
NUM_MEASUREMENTS = 3  # of it, of which the best counts
AS_FAST = 1.1  # times the real-time factor


@dataclass
class Shape:
    """One student.

    Attributes:
        point: The settings in which it differs.
        megabytes: Of its weights.
        rtf: Seconds that a second of speech takes to decode on one core; None until a model with all updates shows it,
            where the weights decide it.
        errors: On dev in percent, by the number of updates.
    """

    point: Point
    megabytes: float
    rtf: float | None
    errors: dict[int, float] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """The settings for people."""
        return ", ".join(f"{key} = {value}" for key, value in self.point.items())

    @property
    def rank(self) -> tuple[int, float, float]:
        """The more updates it was given the better; then by its error rate, and by its size."""
        most = max(self.errors, default=0)
        return (-most, self.errors.get(most, math.inf), self.megabytes)


def grid_of(tries: list[str], model: dict) -> dict:
    """The values to try by key. Raises: UsageError for one that is no list."""
    if not tries:
        if "dim" not in model:
            raise UsageError(f"--try: the encoder {model['encoder']} has no dim that could be varied; name what to try")
        widths = sorted({max(8, 8 * round(scale * model["dim"] / 8)) for scale in SCALES})
        return {"model.dim": widths, "train.weight_bits": [0, 8]}
    found = {}
    for text in tries:
        key, values = parse_values("--try", text)
        if key == "train.updates":
            raise UsageError("--try train.updates: how long each shape is trained is part of the search")
        if key in found:
            raise UsageError(f"--try {key}: twice; write all values in one list")
        found[key] = values
    return found


def is_steady(config: Config, system: SystemConfig) -> bool:
    """Whether a system decodes as fast with any weights; under a beam, and with an attention decoder, it does not."""
    head = writing_head(system.heads, config.decode.head)
    return config.decode.decoder == "greedy" and system.heads[head]["type"] in FRAMEWISE


def measure(args: object, point: Point) -> Shape:
    """The size of a shape, and its speed where fresh weights show it."""
    import torch

    from steps.nnet.model import LoadedModel, new_model
    from steps.nnet.rounding import megabytes
    from steps.tokens.token_table import read_lang
    from steps.training.run import model_config, other_tables

    torch.set_num_threads(1)
    config = load(args.config, [*args.set, *to_overrides(args.system, point)])
    system = system_named(config, args.system)
    table = read_lang(args.data_dir / "lang", config.tokens.unit)
    others = other_tables(config, system, args.data_dir / "lang")
    facts = model_config(config, system, 0, table, others, args.data_dir)
    model = new_model(facts, args.data_dir / system.data.train / "cmvn", 0).eval()
    size = megabytes(model, system.train.weight_bits)
    if not is_steady(config, system):
        return Shape(point, round(size, 4), None)
    rtf = speed_of(LoadedModel(model, facts, table, others), args.data_dir / system.data.dev, config.decode)
    return Shape(point, round(size, 4), round(rtf, 5))


def speed_of(loaded: object, dev: Path, settings: DecodeConfig) -> float:
    """Seconds that a second of speech takes to decode, on the first utterances of a set, at best."""
    from steps.decoding.decode_set import decode_set
    from utils.data_dir.tables import read_table

    feats_scp, lengths = read_table(dev / "feats.scp"), read_table(dev / "utt2num_frames")
    num_frames = {utt_id: int(lengths[utt_id]) for utt_id in [u for u in feats_scp if u in lengths][:NUM_UTTS]}
    times = []
    for _ in range(1 + NUM_MEASUREMENTS):
        start = time.process_time()
        decode_set(loaded, {u: feats_scp[u] for u in num_frames}, num_frames, "cpu", settings)
        times.append(time.process_time() - start)
    seconds = sum(num_frames.values()) * loaded.model.feature_shift_ms / 1000
    return min(times[1:]) / max(seconds, 1e-9)  # the first is slowed by what is loaded and allocated


def distil(args: object, commands: Commands, updates: int, shape: Shape) -> None:
    """Trains, decodes and scores a shape, and notes its error on dev."""
    point = shape.point | {"train.updates": str(updates)}
    home = args.exp_dir / "budget" / name_of_point(point)
    home.mkdir(parents=True, exist_ok=True)
    settings = ["--config", str(args.config)]
    settings += [f"--set={text}" for text in [*args.set, *to_overrides(args.system, point)]]
    config = load(args.config, args.set)
    system = system_named(config, args.system)
    dev = args.data_dir / system.data.dev
    model = home / args.system / "seed0"
    folders = ["--data-dir", str(args.data_dir), "--exp-dir", str(args.exp_dir), "--out-dir", str(home)]
    log_file = home / "log"
    commands.call(log_file, ["steps.train", "--system", args.system, "--seed", "0", *folders, *settings])
    commands.call(log_file, ["steps.decode", *settings, str(model), str(dev)])
    commands.call(log_file, ["steps.score", *settings, str(dev), str(model / f"decode_{dev.name}")])
    figures = json.loads((model / f"decode_{dev.name}" / "score.json").read_text(encoding="utf-8"))
    shape.errors[updates] = round(figures["error_rate"], 4)
    if updates == system.train.updates and not is_steady(config, system):
        counts = Manifest.read(model / f"decode_{dev.name}" / "manifest.json").counts
        shape.rtf = counts["real_time_factor"]
    log.info(f"{name_of_point(shape.point)}: {figures['error_rate']:.2f} % on {dev.name} after {updates:,} updates")


def frontier(shapes: list[Shape]) -> list[Shape]:
    """Of the shapes that had most updates those that no other matches: none is as small, as fast and as good.

    Speed counts where all of them have it, and a tenth more of it is as fast: so much two measurements differ by.
    """
    most = max((max(shape.errors, default=0) for shape in shapes), default=0)
    full = [shape for shape in shapes if most in shape.errors]
    has_speed = all(shape.rtf is not None for shape in full)

    def matches(a: Shape, b: Shape) -> bool:
        is_as_fast = not has_speed or a.rtf <= AS_FAST * b.rtf
        figures = [(shape.megabytes, shape.errors[most]) for shape in (a, b)]
        is_no_worse = all(x <= y for x, y in zip(*figures, strict=True))
        is_other = figures[0] != figures[1] or (has_speed and AS_FAST * a.rtf < b.rtf)
        return is_as_fast and is_no_worse and is_other

    return [shape for shape in full if not any(matches(other, shape) for other in full)]


def survivors(shapes: list[Shape]) -> list[Shape]:
    """The better half of shapes that had as many updates, what is as good as its last, and those on their frontier."""
    ordered, best = sorted(shapes, key=lambda shape: shape.rank), frontier(shapes)
    last = ordered[(len(ordered) - 1) // 2].rank[:2]  # all that write nothing yet are equal
    return [shape for shape in ordered if shape.rank[:2] <= last or shape in best]


def fits(args: object, shape: Shape) -> bool:
    """Whether a shape keeps to the budget, as far as it is known."""
    return shape.megabytes <= args.max_mb and (shape.rtf is None or shape.rtf <= args.max_rtf)


def within(args: object, shapes: list[Shape]) -> list[Shape]:
    """The shapes that keep to the budget. Raises: UsageError when none does."""
    found = [shape for shape in shapes if fits(args, shape)]
    if not found:
        least = min(shapes, key=lambda shape: shape.megabytes)
        budget = f"--max-mb {args.max_mb:g} --max-rtf {args.max_rtf:g}"
        speed = "" if least.rtf is None else f" at {least.rtf:.4f}"
        told = f"the smallest shape takes {least.megabytes:.3f} MB{speed}"
        raise UsageError(f"{budget}: {told}; allow more, or --try smaller ones")
    return found


def write(args: object, shapes: list[Shape], left_out: list[Shape]) -> list[list[str]]:
    """Writes what was found, the best first, and returns it as rows."""
    from steps.scoring.table import number

    ordered = sorted(shapes, key=lambda shape: shape.rank)
    best = frontier([shape for shape in ordered if fits(args, shape)])
    rows = [["settings", "MB", "RTF", "error on dev % (updates)", ""]]
    for shape in [*ordered, *left_out]:
        errors = ", ".join(f"{error:.2f} ({updates:,})" for updates, error in sorted(shape.errors.items()))
        mark = "frontier" if shape in best else "" if fits(args, shape) else "over the budget"
        rows.append([shape.settings, f"{shape.megabytes:.3f}", number(shape.rtf, 4), errors, mark])
    facts = [shape.__dict__ | {"on_frontier": shape in best} for shape in ordered]
    budget = {"max_mb": args.max_mb, "max_rtf": args.max_rtf}
    told = {"system": args.system, **{key: value if math.isfinite(value) else None for key, value in budget.items()}}
    told["shapes"] = facts
    told["over_budget"] = [shape.__dict__ for shape in left_out]
    write_atomic(args.exp_dir / "budget" / f"{args.system}.json", to_json(told))
    return rows


def main(argv: list[str]) -> None:
    """Searches the shape of a student."""
    from steps.scoring.table import to_text

    parser = Parser(__doc__)
    parser.add_config()
    parser.add_argument("--system", default="student", help="a distilled system of conf.toml")
    parser.add_argument("--max-mb", type=positive_real, default=math.inf, help="10^6 bytes; default: any size")
    parser.add_argument("--max-rtf", type=positive_real, default=math.inf, help="default: any speed")
    tries = {"action": "append", "default": [], "metavar": "KEY=[VALUES]"}
    parser.add_argument("--try", dest="tries", **tries, help="default: five widths, rounded to 8 bits and as they are")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="default: data")
    parser.add_argument("--nj", type=positive, default=os.cpu_count(), help="students trained side by side")
    parser.add_argument("exp_dir", type=Path, help="where the teacher and its soft labels are")
    args = parser.parse_args(argv)
    system = system_named(load(args.config, args.set), args.system)
    if not system.distill:
        raise UsageError(f"[{args.system}] has no [[distill]]")
    if not can_transcribe(system):
        raise UsageError(f"[{args.system}] writes nothing, so that no shape has an error rate")
    (args.exp_dir / "budget").mkdir(parents=True, exist_ok=True)
    lock(args.exp_dir / "budget" / ".lock")
    measured = [measure(args, point) for point in points_of(grid_of(args.tries, system.model), "--try")]
    shapes = within(args, measured)
    left_out = [s for s in measured if s not in shapes]
    alive, commands = shapes, Commands()
    for part in RUNGS:
        alive, updates = survivors(alive), max(1, system.train.updates // part)
        log.info(f"{len(alive)} shapes, {updates:,} updates each")
        commands.side_by_side(partial(distil, args, commands, updates), alive, args.nj)
        rows = write(args, shapes, left_out)
    best = min(within(args, [shape for shape in shapes if updates in shape.errors]), key=lambda shape: shape.rank)
    if best.errors[updates] >= ALL_WRONG:
        log.warn(f"no shape writes a word yet after {updates:,} updates; allow more, [{args.system}.train] updates")
    chosen = " ".join(f"--set {text}" for text in to_overrides(args.system, best.point))
    print(f"\n{to_text(rows)}\n\nbest within the budget: {chosen}\n", flush=True)


if __name__ == "__main__":
    run(main)
