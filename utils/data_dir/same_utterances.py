"""Utterances that stand in two data directories, as their tables tell; `repeated_audio` compares samples."""

from utils.data_dir.data_dir import DataDir, Utterance


def same_utterance(ours: DataDir, theirs: DataDir) -> str:
    """What is said of the first utterance of one directory that the other holds, too; empty where there is none.

    It is one of the same id, that of the original where it is a copy at another speed, or of the same piece of a file.
    """
    origins = {origin_of(theirs, utt_id): utt_id for utt_id in theirs.utt_ids}
    by_file: dict[str, list[Utterance]] = {}
    for utterance in theirs.utterances():
        by_file.setdefault(utterance.path, []).append(utterance)
    for utterance in ours.utterances():
        other = origins.get(origin_of(ours, utterance.utt_id))
        other = other or next((x.utt_id for x in by_file.get(utterance.path, []) if overlap(utterance, x)), None)
        if other:
            return f"utterance '{utterance.utt_id}' is '{other}' of {theirs.path}"
    return ""


def origin_of(data: DataDir, utt_id: str) -> str:
    """The id of the utterance that one was made of."""
    return data.tables.get("utt2uniq", {}).get(utt_id, utt_id)


def overlap(a: Utterance, b: Utterance) -> bool:
    """Whether two utterances of one file share a part of it."""
    ends = [float("inf") if x.end_s is None else x.end_s for x in (a, b)]
    return max(a.start_s, b.start_s) < min(ends)
