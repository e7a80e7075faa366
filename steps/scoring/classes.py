"""Scores of classes and keywords: precision, recall and F1 of each, with intervals over speakers and seeds."""

import numpy as np

from steps.scoring.intervals import MIN_SPEAKERS, draws, estimate

KEYWORDS = "keywords"  # stands where the name of a head does
OF_ALL = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
OF_EACH = ("precision", "recall", "f1")
Confusions = dict[str, dict[str, dict[str, int]]]  # speaker -> reference -> hypothesis -> utterances


def confusions(ref: dict[str, str], hyp: dict[str, str], utt2spk: dict[str, str]) -> Confusions:
    """How often each speaker's utterances of a class were called what; one without a hypothesis is called ``."""
    found: Confusions = {}
    for utt_id, label in ref.items():
        row = found.setdefault(utt2spk[utt_id], {}).setdefault(label, {})
        said = hyp.get(utt_id, "")
        row[said] = row.get(said, 0) + 1
    return found


def keyword_confusions(
    ref: dict[str, str], hyp: dict[str, str], utt2spk: dict[str, str], keywords: list[str]
) -> Confusions:
    """How often keywords were found, missed (called ``) and heard where they were not (those of ``), by speaker.

    Within an utterance their places do not count, only how often each is there.
    """
    found: Confusions = {}
    for utt_id, text in ref.items():
        by_class = found.setdefault(utt2spk[utt_id], {})
        for keyword in keywords:
            there, said = count_in(text, keyword), count_in(hyp.get(utt_id, ""), keyword)
            for label, answer, count in (
                (keyword, keyword, min(there, said)),
                (keyword, "", there - said),
                ("", keyword, said - there),
            ):
                if count > 0:
                    row = by_class.setdefault(label, {})
                    row[answer] = row.get(answer, 0) + count
    return found


def count_in(text: str, keyword: str) -> int:
    """How often a word, or several in a row, stand in a text."""
    words, wanted = text.split(), keyword.split()
    return sum(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def pooled_confusions(folds: list[Confusions]) -> Confusions:
    """The sum of several."""
    found: Confusions = {}
    for fold in folds:
        for speaker, by_class in fold.items():
            rows = found.setdefault(speaker, {})  # of one of whom nothing is said, too: in another run there may be
            for label, said in by_class.items():
                row = rows.setdefault(label, {})
                for answer, count in said.items():
                    row[answer] = row.get(answer, 0) + count
    return found


def class_scores(runs: list[Confusions]) -> dict:
    """The figures of one or several runs on a set, in percent: their mean, with a 95 % interval where there can be one.

    Macro means are over the classes that references have; precision and F1 of what is never said and never there
    are 0. The class `` is none: what was said of it counts against precision alone. Intervals of a class are over the
    speakers who have it.
    """
    speakers = sorted(runs[0], key=str.encode)
    classes = sorted({label for by_class in runs[0].values() for label in by_class} - {""})
    counts = np.array(
        [[to_matrix(run[speaker], classes) for speaker in speakers] for run in runs]
    )  # (N, S, C + 1, C + 1)
    by_seed = figures_of(counts.sum(1))
    drawn = [figures_of(np.tensordot(draws(len(speakers)), run, 1)) for run in counts]
    by_draw = {key: np.mean([figures[key] for figures in drawn], 0) for key in by_seed}
    of_class = counts[0].sum(2)[:, :-1]  # (S, C)
    having = (of_class > 0).sum(0)  # (C,) speakers
    whole = {key: described(by_seed[key], by_draw[key], int(of_class.any(1).sum())) for key in OF_ALL}
    of_each = {
        name: {key: described(by_seed[key][:, i], by_draw[key][:, i], int(having[i])) for key in OF_EACH}
        | {"times": int(of_class[:, i].sum())}
        for i, name in enumerate(classes)
    }
    return {"times": int(counts[0, :, :-1].sum()), "speakers": len(speakers), **whole, "classes": of_each}


def keyword_scores(runs: list[Confusions]) -> dict:
    """As `class_scores`; in place of accuracy, which none has that is heard where nothing was said, what was found."""
    found = class_scores(runs)
    return {"found" if key == "accuracy" else key: value for key, value in found.items()}


def to_matrix(by_class: dict[str, dict[str, int]], classes: list[str]) -> np.ndarray:
    """(C + 1, C + 1) counts of references by hypotheses; the last row and column hold what is of no class."""
    place = {name: i for i, name in enumerate(classes)}
    matrix = np.zeros((len(classes) + 1, len(classes) + 1))
    for label, said in by_class.items():
        for answer, count in said.items():
            matrix[place.get(label, -1), place.get(answer, -1)] += count
    return matrix


def figures_of(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures in percent of (N, C + 1, C + 1) counts: (N,) for all classes, (N, C) for each; nan where none is."""
    right = np.diagonal(counts, axis1=1, axis2=2)[:, :-1]
    said, there = counts.sum(1)[:, :-1], counts.sum(2)[:, :-1]
    each = {"precision": share(right, said), "recall": share(right, there), "f1": share(2 * right, said + there)}
    each = {key: np.where(there > 0, x, np.nan) for key, x in each.items()}
    some = there.any(1)
    macro = {key: np.full(len(counts), np.nan) for key in each}
    for key, x in each.items():
        macro[key][some] = np.nanmean(x[some], 1)
    accuracy = np.where(some, share(right.sum(1), there.sum(1)), np.nan)
    return {"accuracy": accuracy, **{f"macro_{key}": x for key, x in macro.items()}, **each}


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """In percent; 0 of 0 is 0."""
    return 100.0 * part / np.maximum(whole, 1)


def described(by_seed: np.ndarray, by_draw: np.ndarray, num_speakers: int) -> dict:
    """The mean of (N,) figures, its interval, and each.

    Args:
        by_seed: (N,) of each seed.
        by_draw: (NUM_DRAWS,) of draws of speakers; nan where nobody drawn says anything of it.
        num_speakers: Who do; of fewer than two there is no interval.
    """
    said = by_draw[~np.isnan(by_draw)] if num_speakers >= MIN_SPEAKERS else None
    found = estimate(float(by_seed.mean()), by_seed, said, num_speakers)
    interval = found.interval or found.speaker_interval
    ends = None if interval is None else [round(min(max(float(x), 0.0), 100.0), 4) for x in interval]
    return {"value": round(found.value, 4), "ci95": ends, "seeds": [round(float(x), 4) for x in by_seed]}
