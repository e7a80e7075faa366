"""The heads by their type in conf.toml. Adding one takes its file and a line here."""

from pathlib import Path

HEADS = {
    "autoencoder": "AutoencoderHead",
    "best_rq": "BestRqHead",
    "classifier": "ClassifierHead",
    "ctc": "CtcHead",
    "hmm": "HmmHead",
    "las": "LasHead",
    "reconstruction": "ReconstructionHead",
    "transducer": "TransducerHead",
    "transformer_decoder": "TransformerDecoderHead",
    "whisper_decoder": "WhisperDecoderHead",
}

SELF_SUPERVISED = ("autoencoder", "best_rq", "reconstruction")  # they need neither transcripts nor labels
HIDING = ("best_rq", "reconstruction")  # of these, those that need frames hidden from the encoder
# They write transcripts, and learn from some, all but Whisper's.
WRITING = ("ctc", "hmm", "las", "transducer", "transformer_decoder", "whisper_decoder")

WITH_OTHER_TOKENS = ("ctc", "las", "transducer", "transformer_decoder")  # than those of [tokens]
WITH_CTC_BESIDE = ("las", "transformer_decoder")  # attention decoders, which can write together with CTC
FOUND = ("classes", "num_tokens", "unit")  # what training adds to the settings of a head


def head_file(name: str) -> Path:
    """The file that defines a head."""
    return Path(__file__).with_name(f"{name}.py")


def head_class(name: str) -> type:
    """The class of a head."""
    from importlib import import_module

    return getattr(import_module(f"steps.heads.{name}"), HEADS[name])
