"""The same utterances through another channel: by `utt2channel`, without a copy of their audio.

Utterances keep their ids, so that what is known of one, such as its soft labels, is known of what is heard of it.
"""

from utils.data_dir.channel import CHANNELS, DIRECT, to_channel
from utils.data_dir.data_dir import FEATS_TABLES, DataDir
from utils.jobs.errors import DataError, UsageError
from utils.jobs.files import sha256_text


def channels(texts: list[str]) -> list[str]:
    """Channels as tables hold them. Raises: UsageError for one that is none, or stands twice."""
    found = []
    for text in texts:
        channel = to_channel(text) if isinstance(text, str) else None
        if channel is None:
            raise UsageError(f"'{text}' is not {CHANNELS}")
        found.append(str(channel))
    if not found or len(set(found)) < len(found):
        raise UsageError(f"{', '.join(texts) or 'no channel'}: name each channel once, and at least one")
    return found


def transmit(source: DataDir, choices: list[str]) -> DataDir:
    """The directory as heard through a channel; of several, each utterance has one that its id chooses.

    Raises: DataError for an utterance that is not heard directly in the source.
    """
    for utterance in source.utterances():
        if utterance.channel != DIRECT:
            text = f"utterance '{utterance.utt_id}' is heard through {utterance.channel} already"
            raise DataError(f"{source.path}/utt2channel: {text}; begin with the directory that this was made from")
    tables = {name: rows for name, rows in source.tables.items() if name not in FEATS_TABLES}
    tables["utt2channel"] = {u: choices[int(sha256_text(u), 16) % len(choices)] for u in source.utt_ids}
    return DataDir(source.path, tables)
