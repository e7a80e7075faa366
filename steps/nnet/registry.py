"""The encoders by their name in conf.toml. Adding one takes its file and a line here."""

from pathlib import Path

ENCODERS = {
    "cnn": "CnnEncoder",
    "conformer": "ConformerEncoder",
    "dnn": "DnnEncoder",
    "ebranchformer": "EBranchformerEncoder",
    "gru": "GruEncoder",
    "huggingface": "HuggingFaceEncoder",
    "lstm": "LstmEncoder",
    "tdnn": "TdnnEncoder",
    "torchaudio_bundle": "TorchaudioBundleEncoder",
    "transformer": "TransformerEncoder",
    "whisper": "WhisperEncoder",
}

PRETRAINED = ("huggingface", "torchaudio_bundle", "whisper")  # made by others, and heard from samples
WITH_CTC = ("huggingface", "torchaudio_bundle")  # of these, those whose models may bring a CTC head


def encoder_file(name: str) -> Path:
    """The file that defines an encoder."""
    return Path(__file__).with_name(f"{name}.py")


def encoder_class(name: str) -> type:
    """The class of an encoder."""
    from importlib import import_module

    return getattr(import_module(f"steps.nnet.{name}"), ENCODERS[name])
