"""wav2vec 2.0, HuBERT or WavLM of Hugging Face transformers as an encoder (Baevski et al. 2020; Hsu et al. 2021)."""

import json
import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from steps.config.types import Fraction
from steps.nnet.waveform import WaveformEncoder, centred, check_input, normalised, reach_of, read_pretrained
from utils.jobs.errors import DataError
from utils.jobs.packages import import_for

KINDS = ("wav2vec2", "hubert", "wavlm")
UNUSED = ("masked_spec_embed",)  # weights of pre-training alone, which published files often lack


def load_transformers() -> ModuleType:
    """The package. Raises: MachineError when it is not installed."""
    return import_for("model.encoder = 'huggingface'", "transformers", "transformers")


class HuggingFaceEncoder(WaveformEncoder):
    """A pre-trained encoder of waveforms.

    Args:
        input_dim: 1, samples.
        frame_shift_ms: Of the samples.
        model: A name on huggingface.co, or a folder with config.json, preprocessor and weights.
        config: Of the model, as JSON; kept in a model folder, so that it needs nothing else. Leave it empty.
        freeze_convolutions: Whether the layers that listen to samples stay as they are.
        dropout: Behind the last layer.
    """

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        model: str = "",
        config: str = "",
        freeze_convolutions: bool = True,
        dropout: Fraction = 0.0,
    ):
        transformers = load_transformers()
        if config:
            found = json.loads(config)
            inner = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**found["model"]))
            is_normalised, rate_hz = found["is_normalised"], found["rate_hz"]
        else:
            inner = read_whole(transformers.AutoModel, model)
            if inner.config.model_type not in KINDS:
                raise ValueError(f"{model} is a {inner.config.model_type}; choose one of {', '.join(KINDS)}")
            extractor = read(lambda: transformers.AutoFeatureExtractor.from_pretrained(model), model)
            is_normalised, rate_hz = bool(extractor.do_normalize), extractor.sampling_rate
        c = inner.config
        check_input(input_dim, frame_shift_ms, model, rate_hz)
        super().__init__(c.hidden_size, math.prod(c.conv_stride), dropout)
        if freeze_convolutions:
            inner.feature_extractor._freeze_parameters()  # which also spares their backward pass
        c.layerdrop = 0.0
        self.model, self.is_normalised = inner, is_normalised
        self.config = json.dumps({"model": c.to_dict(), "is_normalised": is_normalised, "rate_hz": rate_hz})
        self.reach = reach_of(c.conv_kernel, c.conv_stride)
        is_behind = getattr(c, "do_stable_layer_norm", False)  # else its norm stands before the layers
        self.behind_layers = ("model.encoder.layer_norm",) if is_behind else ()

    def layers(self, samples: Tensor, num_frames: int) -> list[Tensor]:
        """(S,) -> (U, D) behind each layer; one frame of 0 for silence of no length."""
        if num_frames == 0:
            return [samples.new_zeros(1, self.output_dim)] * self.model.config.num_hidden_layers
        samples = normalised(samples) if self.is_normalised else samples
        padded = centred(samples, num_frames, self.subsampling, self.reach)
        hidden = None
        if self.training:  # its masks come from numpy, and it refuses utterances shorter than one
            np.random.seed(int(torch.randint(2**31, ())))
            if num_frames < self.model.config.mask_time_length:
                hidden = torch.zeros(1, num_frames, dtype=torch.bool, device=samples.device)
        found = self.model(padded[None], mask_time_indices=hidden, output_hidden_states=True)
        return [*(x[0] for x in found.hidden_states[1:-1]), found.last_hidden_state[0]]  # some models normalise it


def read(load: Callable, model: str) -> object:
    """What the package loads. Raises: DataError in one line when a name or folder is wrong, or files are missing."""
    return read_pretrained(load, model, "transformers")


def read_whole(cls: type, model: str) -> nn.Module:
    """A model with all of its weights from its files. Raises: DataError as `read`, or where a weight is in none.

    transformers itself only warns, and makes the missing weights up.
    """
    found, facts = read(lambda: cls.from_pretrained(model, dtype=torch.float32, output_loading_info=True), model)
    missing = sorted(name for name in facts["missing_keys"] if not name.endswith(UNUSED))
    if missing:
        shown = ", ".join(missing[:3])
        raise DataError(f"{model}: its files lack {len(missing)} weights of a {type(found).__name__} ({shown})")
    return found


def ctc_head_of(model: str) -> tuple[Tensor, Tensor, dict[str, int], int]:
    """(V, D) weight, (V,) bias, places of its tokens, and that of its blank. Raises: DataError when it has none."""
    transformers = load_transformers()
    found = read_whole(transformers.AutoModelForCTC, model)
    tokenizer = read(lambda: transformers.AutoTokenizer.from_pretrained(model), model)
    places = tokenizer.get_vocab()
    space = getattr(tokenizer, "word_delimiter_token", None)
    if space in places:
        places["|"] = places[space]
    places = {token: place for token, place in places.items() if place < len(found.lm_head.weight)}
    if tokenizer.pad_token_id not in places.values():
        raise DataError(f"{model}: its vocab.json is not that of its CTC head, whose blank it lacks")
    return found.lm_head.weight.detach(), found.lm_head.bias.detach(), places, tokenizer.pad_token_id
