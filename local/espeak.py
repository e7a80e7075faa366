"""Speech from espeak-ng's library, through ctypes.

What the library says depends on what the process said before. For the same bytes each time, say a fixed list of
sentences in a fresh process.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: samples go to the callback
UTF8, POS_CHARACTER = 1, 1
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER


@dataclass(frozen=True)
class Manner:
    """How a sentence is said: words per minute, pitch and its range (0 to 100)."""

    words_per_minute: int = 170
    pitch: int = 50
    pitch_range: int = 50


class Espeak:
    """The library, with one voice such as `en-us+f3`. Raises: OSError when it does not start or lacks the voice."""

    def __init__(self, voice: str):
        import espeakng_loader

        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate_hz = self.library.espeak_Initialize(RETRIEVAL, 0, data, 0)
        if self.sample_rate_hz <= 0:
            raise OSError("espeak-ng does not start; install the requirements again")
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = callback(self._collect)
        self.library.espeak_SetSynthCallback(self.callback)
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise OSError(f"espeak-ng has no voice '{voice}'")
        self.chunks: list[np.ndarray] = []

    def _collect(self, samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, manner: Manner) -> np.ndarray:
        """float32 samples in [-1, 1], shape (S,), at `sample_rate_hz`."""
        settings = ((RATE, manner.words_per_minute), (PITCH, manner.pitch), (RANGE, manner.pitch_range))
        for parameter, value in settings:
            self.library.espeak_SetParameter(parameter, value, 0)
        self.chunks = []
        data = text.encode() + b"\0"
        self.library.espeak_Synth(data, len(data), 0, POS_CHARACTER, 0, UTF8, None, None)
        self.library.espeak_Synchronize()
        samples = np.concatenate(self.chunks) if self.chunks else np.zeros(0, np.int16)
        return samples.astype(np.float32) / 32768
