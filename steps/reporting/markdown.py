"""results.json as RESULTS.md."""

from steps.scoring.table import Rows, filter_rows, sections, to_markdown, tuning_rows

EXPLANATION = """\
Error rates are pooled over the set and averaged over seeds; the interval joins the variance of seeds with that of
speakers (bootstrap). `<system>_plain` is the twin: the same system without its distillation terms, from the same
start, on the same batches. Gap closed is (twin − distilled) / (twin − teacher). "Better" means that the paired
t-intervals over seeds, over speakers (bootstrap) and over both exclude 0; p is the greatest one of the three tests.
"Better alone" does not hold after Holm's correction for all tests of the set. "Behind the best" sets a system beside
the best one with the same twin, which was found on the same set: a lead whose interval holds 0 is none. Dev only
picks which checkpoints are averaged. MB are those of the weights, rounded ones in their few bits; all compute in 32.
Hours are those that are heard, copies of speech at other speeds counted, too. CPU minutes are those of the training
itself, without its teacher's."""


def tried_tables(tuned: list[dict], swept: list[dict]) -> list[tuple[str, Rows]]:
    """(heading, table) of what was tried on dev for each system, and of what filters of untranscribed audio keep."""
    found = [(f"Choice on {one['set']}: {next(iter(one['systems']))} and its twin", tuning_rows(one)) for one in tuned]
    for one in swept:
        term = f", term {one['term']}" if one["term"] else ""
        found.append((f"What a filter keeps: {one['system']}{term}", filter_rows(one)))
    return found


def results_markdown(
    results: dict[str, dict],
    tried: list[tuple[str, Rows]],
    title: str,
    commands: list[str],
    made: dict,
    note: str = "",
) -> str:
    """The text of RESULTS.md.

    Args:
        results: The content of results.json, by experiment.
        tried: What was tuned and filtered, as headings and tables.
        title: The first heading.
        commands: What a person runs to get these figures.
        made: Commit and machine, by name.
        note: What must be known of all figures.
    """
    parts = [f"# {title}", *([f"**{note}**"] if note else []), EXPLANATION]
    for section in sections(results):
        about = [f"{section.about}."] if section.about else []
        parts += [f"## {section.heading}", *about, *map(to_markdown, section.tables)]
    for heading, rows in tried:
        parts += [f"## {heading}", to_markdown(rows)]
    parts += ["## How it was made", "```\n" + "\n".join(commands) + "\n```"]
    parts.append("\n".join(f"- {key}: {value}" for key, value in made.items()))
    return "\n\n".join(parts) + "\n"
