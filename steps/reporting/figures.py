"""Pictures of a report, as SVG text."""

import io
import math
from contextlib import contextmanager

from steps.reporting.calibration import Calibration

DASHES = ("-", "--", ":", "-.")  # of further systems in the same colours
COLOURS = ("#444444", "#c2571a", "#1f6fb4", "#2a8f4e", "#8a4fb0", "#b0344f")


@contextmanager
def drawing(width: float, height: float, **shape: object):
    """A figure of this size in inches, and its axes, drawn the same for the same content."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings = {"svg.hashsalt": "retort", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
    with pyplot.rc_context(settings | {"axes.spines.right": False}):
        figure, axes = pyplot.subplots(figsize=(width, height), **shape)
        yield figure, axes
        pyplot.close(figure)


def to_svg(figure: object) -> str:
    """A figure as SVG, without the header of a file."""
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def learning_curves(histories: dict[str, list[list[dict]]]) -> str:
    """The error rate on dev of each system over its updates, a line for each seed."""
    with drawing(7.0, 3.2) as (figure, axes):
        for i, (name, seeds) in enumerate(histories.items()):
            for k, lines in enumerate(seeds):
                points = [(row["update"], row["dev_error_rate"]) for row in lines]
                points = [(x, y) for x, y in points if y is not None and math.isfinite(y)]  # None: writes nothing
                if points:
                    style = {"color": COLOURS[i % len(COLOURS)], "linewidth": 1.0, "alpha": 0.8}
                    style["linestyle"] = DASHES[i // len(COLOURS) % len(DASHES)]
                    axes.plot(*zip(*points, strict=True), label="" if k else name, **style)
        axes.set_xlabel("update")
        axes.set_ylabel("error on dev, %")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
        return to_svg(figure)


def reliability(found: dict[str, Calibration]) -> str:
    """Accuracy over confidence; on the diagonal a system is as often right as it is sure."""
    with drawing(3.6, 3.2) as (figure, axes):
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
        for i, (name, one) in enumerate(found.items()):
            points = [(x, y) for x, y, n in zip(one.confidence, one.accuracy, one.counts, strict=True) if n]
            label = f"{name}: {one.error:.1f} %"
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[i], markersize=3, linewidth=1.0, label=label)
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(frameon=False, fontsize=8, title="expected calibration error", title_fontsize=8)
        return to_svg(figure)
