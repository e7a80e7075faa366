"""What is seen of a training: its log, metrics.jsonl, TensorBoard events and progress bar."""

import io
import json
import math
import os
import sys
from pathlib import Path

from utils.jobs import log
from utils.jobs.files import write_atomic


def progress_bar(total: int, name: str, **more: object) -> object:
    """A bar on the terminal: that of stderr, or the driver's behind file descriptor RETORT_BAR_FD; else a dumb one.

    Args:
        total: What it counts to.
        name: What stands before it.
        more: Further settings of tqdm, such as the unit.
    """
    from tqdm import tqdm

    fd = os.environ.get("RETORT_BAR_FD", "")
    stream = os.fdopen(int(fd), "w", closefd=False) if fd.isdigit() else sys.stderr
    slot = int(os.environ.get("RETORT_BAR_SLOT", "0"))
    return tqdm(total=total, desc=name, file=stream, disable=not stream.isatty(), leave=False, position=slot, **more)


class Reporter:
    """Writes each line of the history to the log, and the history to metrics.jsonl and for TensorBoard."""

    def __init__(self, out: Path, units: dict[str, str] | None = None):
        self.out, self.units = out, units or {}  # of the losses of heads
        (out / "events").mkdir(parents=True, exist_ok=True)

    def __call__(self, history: list[dict]) -> None:
        """Writes the last line, and the files whole, so that a resumed run repeats nothing."""
        line = history[-1]
        write_atomic(self.out / "metrics.jsonl", "".join(to_line(row) for row in history))
        losses, on_dev = (losses_of(line, prefix, self.units) for prefix in ("train_", "dev_"))
        error, blanks = line["dev_error_rate"], line["dev_blank_share"]  # nan where the model writes nothing
        on_dev = f"{error:.2f} % error, {on_dev}" if math.isfinite(error) else on_dev
        on_dev = f"{on_dev}, blank share {blanks:.2f}" if math.isfinite(blanks) else on_dev
        log.info(f"epoch {line['epoch']}, update {line['update']}: {losses}; dev: {on_dev}; {line['seconds']:.0f} s")
        write_atomic(self.out / "events" / "events.out.tfevents.retort", to_events(history))


def to_events(history: list[dict]) -> bytes:
    """The numbers of a history as TensorBoard reads them. Their time is that of the training, without its pauses."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    writer.write(Event(file_version="brain.Event:2").SerializeToString())
    for line in history:
        values = [Summary.Value(tag=k, simple_value=v) for k, v in line.items() if k not in ("epoch", "update")]
        event = Event(wall_time=line["seconds"], step=line["update"], summary=Summary(value=values))
        writer.write(event.SerializeToString())
    return stream.getvalue()


def to_line(row: dict) -> str:
    """A line of metrics.jsonl; a figure that is not finite, which JSON cannot hold, is null."""
    return json.dumps({k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}) + "\n"


FIGURES = ("error_rate", "blank_share")  # of dev, that are no losses


def losses_of(line: dict, prefix: str, units: dict[str, str]) -> str:
    """The losses in a line of the history, with their units."""
    found = {key.removeprefix(prefix): value for key, value in line.items() if key.startswith(prefix)}
    return ", ".join(f"{k} {v:.3f} {units.get(k, 'nats/token')}" for k, v in found.items() if k not in FIGURES)
