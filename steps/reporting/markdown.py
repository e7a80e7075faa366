"""results.json as RESULTS.md."""

from steps.scoring.table import filter_rows, sections, to_markdown, tuning_rows

EXPLANATION = """\
Error rates are pooled over the set and averaged over seeds; the interval joins the variance of seeds with that of
speakers (bootstrap). `<system>_plain` is the twin: the same system without its distillation terms, from the same
start, on the same batches. Gap closed is (twin − distilled) / (twin − teacher). "Better" means that the paired
t-intervals over seeds and over speakers (bootstrap) both exclude 0; p is the greater one of the two tests.
"Better alone" does not hold after Holm's correction for all comparisons of the set. Dev only picks which checkpoints
are averaged. MB are those of the weights, rounded ones in their few bits; all compute in 32. CPU minutes are those of
the training itself, without its teacher's."""


def results_markdown(
    results: dict[str, dict],
    tuned: list[dict],
    swept: list[dict],
    title: str,
    commands: list[str],
    made: dict,
    note: str = "",
) -> str:
    """The text of RESULTS.md.

    Args:
        results: The content of results.json, by experiment.
        tuned: What was tried on dev for each system.
        swept: What filters of untranscribed audio keep.
        title: The first heading.
        commands: What a person runs to get these figures.
        made: Commit and machine, by name.
        note: What must be known of all figures.
    """
    parts = [f"# {title}", *([f"**{note}**"] if note else []), EXPLANATION]
    for section in sections(results):
        about = [f"{section.about}."] if section.about else []
        parts += [f"## {section.heading}", *about, *map(to_markdown, section.tables)]
    for found in tuned:
        heading = f"## Choice on {found['set']}: {next(iter(found['systems']))} and its twin"
        parts += [heading, to_markdown(tuning_rows(found))]
    for found in swept:
        heading = f"## What a filter keeps: {found['system']}" + (f", term {found['term']}" if found["term"] else "")
        parts += [heading, to_markdown(filter_rows(found))]
    parts += ["## How it was made", "```\n" + "\n".join(commands) + "\n```"]
    parts.append("\n".join(f"- {key}: {value}" for key, value in made.items()))
    return "\n\n".join(parts) + "\n"
