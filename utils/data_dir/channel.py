"""How an utterance is heard: the values of `utt2channel`.

>>> to_channel("telephone:snr_db=15,noise=pink")
Channel(kind='telephone', snr_db=15.0, noise='pink')
>>> str(to_channel("noisy:snr_db=5.0"))
'noisy:snr_db=5'
>>> to_channel("fax") is None
True
"""

import re
from dataclasses import dataclass

KINDS = ("direct", "telephone", "noisy", "far")
NOISES = ("white", "pink")
CHANNELS = "a channel such as direct, telephone, telephone:snr_db=15,noise=pink, noisy:snr_db=5 or far:snr_db=15"
MIN_SNR_DB, MAX_SNR_DB = -50.0, 100.0
FORM = re.compile(r"(\w+)(?::snr_db=(-?\d+(?:\.\d+)?)(?:,noise=(\w+))?)?", re.ASCII)


@dataclass(frozen=True)
class Channel:
    """What speech goes through before it is heard.

    Attributes:
        kind: `direct` changes nothing, `noisy` adds noise, `telephone` leaves what a telephone line lets through, `far`
            is a microphone at the other end of a room.
        snr_db: Mean power of the speech against that of the noise; None for no noise.
        noise: `white` has the same power in each Hz, `pink` in each octave.
    """

    kind: str = "direct"
    snr_db: float | None = None
    noise: str = "white"

    def __str__(self) -> str:
        level = "" if self.snr_db is None else f":snr_db={self.snr_db:g}"
        return self.kind + level + (",noise=pink" if self.noise == "pink" else "")


DIRECT = Channel()


def to_channel(text: str) -> Channel | None:
    """A channel of utt2channel, from -50 to 100 dB where it has noise; None for anything else."""
    match = FORM.fullmatch(text)
    kind, level, noise = match.groups() if match else ("", None, None)
    if kind not in KINDS or (noise or "white") not in NOISES:
        return None
    snr_db = None if level is None else float(level)
    if snr_db is not None and not MIN_SNR_DB <= snr_db <= MAX_SNR_DB:
        return None
    if (kind == "direct" and snr_db is not None) or (kind == "noisy" and snr_db is None):
        return None
    return Channel(kind, snr_db, noise or "white")
