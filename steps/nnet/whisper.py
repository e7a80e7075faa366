"""The encoder of Whisper, and what its decoder needs (Radford et al. 2023)."""

import json
from dataclasses import dataclass

from torch import Tensor, nn

from steps.config.types import Fraction
from steps.nnet.huggingface import load_transformers, read, read_whole
from steps.nnet.streaming import Past
from steps.nnet.subsampling import subsampled_lens
from steps.nnet.waveform import WaveformEncoder, check_input
from utils.jobs.errors import DataError


@dataclass(frozen=True)
class PretrainedDecoder:
    """The decoder that came with an encoder.

    Attributes:
        module: Of transformers.
        tokenizer: The same.
        prompt: Token ids that each transcript starts with.
        end_id: That which ends it.
        never: Token ids that are never written.
        not_first: The same of the first one.
    """

    module: nn.Module
    tokenizer: object
    prompt: list[int]
    end_id: int
    never: list[int]
    not_first: list[int]


class WhisperEncoder(WaveformEncoder):
    """Whisper's encoder on at most 30 s of samples; the rest of the 30 s is silence, which its decoder hears too.

    Args:
        input_dim: 1, samples.
        frame_shift_ms: Of the samples.
        model: A name on huggingface.co, or a folder with config.json, preprocessor, tokenizer and weights.
        language: Spoken, as "en", where the model knows several.
        config: Of the model, as JSON; kept in a model folder, so that it needs nothing else. Leave it empty.
        dropout: Behind the last layer.
    """

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        model: str = "",
        language: str = "en",
        config: str = "",
        dropout: Fraction = 0.0,
    ):
        transformers = load_transformers()
        from tokenizers import Tokenizer

        if config:
            facts = json.loads(config)
            settings = transformers.AutoConfig.for_model(**facts["model"])
            whole = transformers.WhisperForConditionalGeneration(settings)
            tokenizer = Tokenizer.from_str(facts["tokenizer"])
        else:
            whole = read_whole(transformers.WhisperForConditionalGeneration, model)
            listener = read(lambda: transformers.WhisperFeatureExtractor.from_pretrained(model), model)
            tokenizer = read(lambda: transformers.WhisperTokenizerFast.from_pretrained(model), model).backend_tokenizer
            facts = {
                "model": whole.config.to_dict(),
                "listener": listener.to_dict(),
                "tokenizer": tokenizer.to_str(),
                **writing_of(whole.generation_config, language, model, whole.config.vocab_size),
            }
            if not is_mark(tokenizer.id_to_token(facts["prompt"][0])):
                raise DataError(f"{model}: its tokenizer files are missing or another model's: they lack its marks")
        listener = transformers.WhisperFeatureExtractor.from_dict(facts["listener"])
        check_input(input_dim, frame_shift_ms, model, listener.sampling_rate)
        c = whole.config
        super().__init__(c.d_model, listener.hop_length * 2, dropout)  # its second convolution halves the frames
        self.model, self.listener, self.config = whole.model.encoder, listener, json.dumps(facts)
        self.max_samples, self.behind_layers = listener.n_samples, ("model.layer_norm",)
        marks = {key: facts[key] for key in ("prompt", "end_id", "never", "not_first")}
        self.decoder = (PretrainedDecoder(whole.model.decoder, tokenizer, **marks),)  # hidden from the weights here

    def forward(
        self, feats: Tensor, feat_lens: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(B, S, 1), (B,) -> (B, 1500, D) with the silence behind, (B,) frames of speech, and behind each layer.

        Raises: DataError for an utterance of more than 30 s.
        """
        if int(feat_lens.max()) > self.max_samples:
            seconds = self.max_samples / self.listener.sampling_rate
            raise DataError(
                f"Whisper hears {seconds:g} s; cut longer utterances, run: python3 -m utils.resegment_data_dir --help"
            )
        samples = [x[:n, 0].cpu().numpy() for x, n in zip(feats, feat_lens, strict=True)]
        mels = self.listener(samples, sampling_rate=self.listener.sampling_rate, return_tensors="pt").input_features
        states = self.model(mels.to(feats), output_hidden_states=True)
        lengths = subsampled_lens(feat_lens, self.subsampling)
        return self.dropout(states.last_hidden_state), lengths, list(states.hidden_states[1:-1])


def is_mark(token: str | None) -> bool:
    """Whether a token is one such as `<|startoftranscript|>`."""
    return token is not None and token.startswith("<|")


def writing_of(settings: object, language: str, model: str, num_tokens: int) -> dict:
    """How a transcript begins and ends, from a generation_config.json.

    Raises: ValueError for an unknown language; DataError when the file does not say.
    """
    needed = ["no_timestamps_token_id", "is_multilingual"]
    needed += ["lang_to_id", "task_to_id"] if getattr(settings, "is_multilingual", False) else []
    if any(getattr(settings, name, None) is None for name in needed):
        raise DataError(f"{model}: its generation_config.json is missing or does not say how a transcript begins")
    prompt = [settings.decoder_start_token_id]
    if settings.is_multilingual:
        known = {mark.strip("<|>"): token_id for mark, token_id in settings.lang_to_id.items()}
        if language not in known:
            raise ValueError(f"{model} does not know language '{language}'; it knows {', '.join(sorted(known))}")
        prompt += [known[language], settings.task_to_id["transcribe"]]
    prompt.append(settings.no_timestamps_token_id)
    end = settings.eos_token_id
    return {
        "prompt": prompt,
        "end_id": end[0] if isinstance(end, list) else end,
        "never": sorted({*(settings.suppress_tokens or []), *prompt, *range(prompt[-1], num_tokens)}),  # no times
        "not_first": settings.begin_suppress_tokens or [],
    }
