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


LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}  # as in the large ones


def save_ctc_model(
    folder: Path, kind: str, letters: list[str] = LETTERS, rate_hz: int = 16000, *, is_large: bool = False
) -> Path:
    """Saves a CTC model with its tokenizer and feature extractor; the large ones are published in half precision."""
    import transformers

    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), word_delimiter_token="|")
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=rate_hz, do_normalize=True)
    transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    name = CLASSES[kind]
    settings = SMALL | (LARGE if is_large else {})
    config = getattr(transformers, f"{name}Config")(**settings, vocab_size=len(letters), pad_token_id=0)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCTC")(config)
    (model.half() if is_large else model).save_pretrained(folder)
    return folder


BUNDLE_PARAMS = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(16, k, s) for k, s in [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 32,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 2,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 64,
    "encoder_ff_interm_dropout": 0.1,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.1,
}


def save_bundle(torch_home: Path, monkeypatch, kind: str = "Wav2Vec2", *, is_large: bool = False) -> str:
    """Adds a small bundle to torchaudio, and its weights to the folder that torch.hub keeps downloads in."""
    import torchaudio
    from torchaudio.pipelines import Wav2Vec2ASRBundle

    name, labels = f"SMALL_{kind.upper()}", tuple("|ETAOINSHRDLUMWCFGYPBVK'XJQZ")
    params = {**BUNDLE_PARAMS, "aux_num_out": len(labels) + 1}
    params |= {"extractor_mode": "layer_norm", "encoder_layer_norm_first": True} if is_large else {}
    params |= {"encoder_num_buckets": 32, "encoder_max_distance": 80} if kind == "WavLM" else {}
    torch.manual_seed(0)
    model = getattr(torchaudio.models, {"Wav2Vec2": "wav2vec2_model", "WavLM": "wavlm_model"}[kind])(**params)
    weights = model.state_dict()
    for key in ("aux.weight", "aux.bias"):  # the published files have three rows more
        weights[key] = torch.cat((weights[key][:1], weights[key][:3], weights[key][1:]))
    (torch_home / "hub/checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save(weights, torch_home / f"hub/checkpoints/{name.lower()}.pth")
    bundle = Wav2Vec2ASRBundle(
        f"{name.lower()}.pth",
        params,
        _sample_rate=16000,
        _normalize_waveform=is_large,
        _model_type=kind,
        _labels=labels,
    )
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    monkeypatch.setattr(torchaudio.pipelines, name, bundle, raising=False)
    return name


MARKS = ("endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startofprev", "notimestamps")


def save_whisper(folder: Path, *, is_multilingual: bool = True, letters: str = "") -> Path:
    """Saves a Whisper model with its tokenizer, feature extractor and generation settings; it writes some letters."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True)
    spelling = Tokenizer(models.BPE())
    spelling.pre_tokenizer, spelling.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False)
    spelling.train_from_iterator(["one two three, one two three."], trainer)
    ids = {mark: spelling.get_vocab_size() + i for i, mark in enumerate(MARKS)}
    spelling.add_special_tokens([f"<|{mark}|>" for mark in MARKS])
    end = "<|endoftext|>"
    tokens = transformers.WhisperTokenizerFast(
        tokenizer_object=spelling, bos_token=end, eos_token=end, unk_token=end, pad_token=end
    )
    config = transformers.WhisperConfig(
        vocab_size=len(tokens) + 1501,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        pad_token_id=ids["endoftext"],
        bos_token_id=ids["endoftext"],
        eos_token_id=ids["endoftext"],
        decoder_start_token_id=ids["startoftranscript"],
    )
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(config)
    settings = model.generation_config
    settings._from_model_config = False
    settings.is_multilingual, settings.no_timestamps_token_id = is_multilingual, ids["notimestamps"]
    settings.suppress_tokens = [i for mark, i in ids.items() if mark != "endoftext"]
    if letters:
        settings.suppress_tokens += [i for token, i in spelling.get_vocab().items() if token not in {*letters, end}]
    settings.begin_suppress_tokens = [ids["endoftext"]]
    if is_multilingual:
        settings.lang_to_id = {f"<|{mark}|>": ids[mark] for mark in ("en", "de")}
        settings.task_to_id = {mark: ids[mark] for mark in ("transcribe", "translate")}
    for part in (model, tokens, transformers.WhisperFeatureExtractor()):
        part.save_pretrained(folder)
    return folder
