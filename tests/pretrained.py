"""Small models of genuine classes with random weights, in the format in which the genuine ones are published."""

import json
from pathlib import Path

import torch

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLUMWCFGYPBVK'XJQZ"]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
CLASSES = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}


def save_ctc_model(folder: Path, kind: str, letters: list[str] = LETTERS, rate_hz: int = 16000) -> Path:
    """Saves a CTC model with its tokenizer and feature extractor."""
    import transformers

    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|")
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=rate_hz, do_normalize=True)
    transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    name = CLASSES[kind]
    config = getattr(transformers, f"{name}Config")(**SMALL, vocab_size=len(letters), pad_token_id=0)
    torch.manual_seed(0)
    getattr(transformers, f"{name}ForCTC")(config).save_pretrained(folder)
    return folder
