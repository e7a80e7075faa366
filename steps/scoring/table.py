"""results.json as a table for people."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from steps.scoring.intervals import MIN_SEEDS

Rows = list[list[str]]  # a head, and one row for each thing


@dataclass(frozen=True)
class Section:
    """The tables of one set, or of the classes of one head on it.

    Attributes:
        heading: What it is of.
        about: How large the set is, and how it was decoded and scored; empty for classes.
        tables: In order.
        experiment: The one that it belongs to.
        set_name: The set.
        part: What results.json holds of it; nothing for classes.
    """

    heading: str
    about: str
    tables: list[Rows]
    experiment: str
    set_name: str
    part: dict = field(repr=False)


def sections(results: dict[str, dict]) -> Iterator[Section]:
    """The tables of results.json of each experiment, in the order in which they are read."""
    for experiment, found in results.items():
        prefix = "" if len(results) == 1 else f"{experiment}: "
        for name, part in found["sets"].items():
            about = f"{size_of(part)}; normalisation: {part['normalisation']}; {decoder_name(part)}"
            tables = [system_rows(part), *([comparison_rows(part)] if part["comparisons"] else [])]
            yield Section(f"{prefix}{name}", about, tables, experiment, name, part)
        for name, heads in found.get("classes", {}).items():
            for head, by_system in heads.items():
                yield Section(f"{prefix}{name}: {head}", "", [class_rows(by_system)], experiment, name, {})


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(pair: list[float] | None, digits: int = 2, scale: float = 1.0) -> str:
    """An interval in brackets, or nothing."""
    return "" if pair is None else f" [{scale * pair[0]:.{digits}f}, {scale * pair[1]:.{digits}f}]"


def system_rows(part: dict) -> list[list[str]]:
    """A head and one row for each system of a set."""
    head = ["system", "params", "MB", f"{part['unit']} error % [95 %]", "ins/del/sub %", "sd", "seeds", "updates"]
    rows = [head + ["hours", "CPU min", "RTF"]]
    for name, s in part["systems"].items():
        hours = f"{s['labelled_hours']:.2f}" + (f" + {s['unlabelled_hours']:.2f}" if s["unlabelled_hours"] else "")
        kinds = "/".join(number(s[k], 1) for k in ("ins", "del", "sub"))
        rate = number(s["error_rate"]) + interval(s["ci95"])
        size = [f"{s['params']:,}", number(s.get("megabytes"))]
        row = [name, *size, rate, kinds, number(s["sd"]), str(len(s["seeds"])), f"{s['updates']:,}"]
        rows.append(row + [hours, number(s["cpu_minutes"], 1), number(s.get("real_time_factor"), 4)])
    return rows


def class_rows(by_system: dict) -> list[list[str]]:
    """A head and one row for each system that classifies: all classes, then each."""
    classes = sorted({name for found in by_system.values() for name in found["classes"]})  # some lack some
    first = "found" if any("found" in found for found in by_system.values()) else "accuracy"
    head = ["system", f"{first} % [95 %]", "macro precision", "macro recall", "macro F1 [95 %]", "seeds"]
    rows = [head + [f"F1 of {name}" for name in classes]]
    for system, found in by_system.items():
        row = [system, with_interval(found[first])]
        row += [number(found[f"macro_{key}"]["value"]) for key in ("precision", "recall")]
        row += [with_interval(found["macro_f1"]), str(len(found[first]["seeds"]))]
        by_class = [found["classes"].get(name) for name in classes]
        rows.append(row + [with_interval(one["f1"]) if one else "–" for one in by_class])
    return rows


def with_interval(figure: dict) -> str:
    """A figure and its interval."""
    return number(figure["value"]) + interval(figure["ci95"])


def comparison_rows(part: dict) -> list[list[str]]:
    """A head and one row for each system of a set and each that it is compared with."""
    rows = [["system", "against", "teacher", "gain, points [95 %]", "gap closed % [95 %]", "p", "verdict"]]
    for c in part["comparisons"]:
        closed = "no gap" if has_no_gap(part, c) else percent(c["gap_closed"])
        closed += interval(c["gap_closed_ci95"], 1, 100)
        gain = number(c["absolute_gain"]) + interval(c["absolute_gain_ci95"])
        others = [with_set(c, role) for role in ("student", "teacher")]
        is_tiny = c["p_value"] is not None and c["p_value"] < 0.001
        p_value = "< 0.001" if is_tiny else number(c["p_value"], 3)
        rows.append([c["distilled"], *others, gain, closed, p_value, verdict(part, c)])
    if any("behind" in c for c in part["comparisons"]):
        rows[0].append("behind the best, points [95 %]")
        for row, c in zip(rows[1:], part["comparisons"], strict=True):
            row.append(number(c.get("behind")) + interval(c.get("behind_ci95")))
    return rows


def with_set(comparison: dict, role: str) -> str:
    """A system of a comparison; a dash without one.

    Beside it stand its seeds, where the row of its own is not of seed 0 alone, and the set, where that is another.
    """
    name, home = comparison[role] or "–", comparison.get(f"{role}_set")
    seeds = comparison.get(f"{role}_seeds", [0])
    if seeds != [0] or comparison.get(f"{role}_runs", 1) > 1:
        name += f"/seed{','.join(map(str, seeds))}"
    return f"{name} on {home}" if home else name


def filter_rows(found: dict) -> list[list[str]]:
    """A head and one row for each threshold of a filter."""
    rows = [
        [
            "kept" if found["over"] == "keep" else found["over"],
            "confidence from",
            "utterances",
            "hours",
            f"{found['unit']} error of labels %",
        ]
    ]
    rows[0].append(f"of the student on {found['set']} %")
    for row in found["rows"]:
        errors = [number(row[key]) for key in ("label_error_rate", "student_error_rate")]
        facts = [f"{row['threshold']:g}", number(row["confidence"], 3), f"{row['utterances']:,}", number(row["hours"])]
        rows.append([*facts, *errors])
    return rows


def tuning_rows(found: dict) -> list[list[str]]:
    """A head and one row for each point that was tried of a system and of its twin."""
    rows = [["system", "settings", "error %", "seeds"]]
    for name, points in found["systems"].items():
        for point in points:
            settings = ", ".join(f"{key} = {value}" for key, value in point["settings"].items())
            rows.append([name, settings, number(point["error_rate"]), str(len(point["seeds"]))])
    return rows


def percent(share: float | None) -> str:
    """A share in percent, or a dash."""
    return number(None if share is None else 100 * share, 1)


def has_no_gap(part: dict, comparison: dict) -> bool:
    """Whether a teacher that writes is not better, of which there are seeds and speakers enough to say so."""
    writes = comparison["teacher"] in part["systems"] or "teacher_set" in comparison
    is_decidable = part["speakers"] > 1 and len(comparison["seeds"]) >= MIN_SEEDS
    return comparison["gap_closed"] is None and writes and is_decidable


def verdict(part: dict, comparison: dict) -> str:
    """Better, or why that cannot be said."""
    if part["speakers"] < 2:
        return "undecided: one speaker"
    if len(comparison["seeds"]) < MIN_SEEDS:
        return f"undecided: fewer than {MIN_SEEDS} seeds"
    if comparison["better"] and comparison.get("p_holm", 0.0) >= 0.05:
        return f"better alone, not among {sum('p_holm' in other for other in part['comparisons'])}"
    return "better" if comparison["better"] else "not better"


def to_text(rows: list[list[str]]) -> str:
    """Rows in aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def to_markdown(rows: list[list[str]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def size_of(part: dict) -> str:
    """How large a set is."""
    counts = [(part["utterances"], "utterance"), (part["ref_units"], part["unit"]), (part["speakers"], "speaker")]
    if part.get("folds", 1) > 1:  # what several of them hold counts as often
        counts.append((part["folds"], "fold"))
    return ", ".join(f"{count:,} {noun}" + "s" * (count != 1) for count, noun in counts)


def decoder_name(part: dict) -> str:
    """How the hypotheses of a set were found."""
    name, *settings = part.get("decode", {"decoder": "greedy"}).items()
    told = ", ".join(f"{key} {value}" if isinstance(value, str) else f"{key} {value:g}" for key, value in settings)
    return f"decoder: {name[1]}" + (f" ({told})" if told else "")
