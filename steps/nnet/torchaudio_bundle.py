"""A bundle of torchaudio as an encoder: wav2vec 2.0, HuBERT or WavLM (Baevski et al. 2020; Hsu et al. 2021)."""

import json
import math

import torchaudio
from torch import Tensor
from torchaudio.pipelines import Wav2Vec2Bundle

from steps.config.types import Fraction, near
from steps.nnet.waveform import WaveformEncoder, centred, check_input, normalised, reach_of, read_pretrained
from utils.jobs.errors import DataError

FACTORIES = {"Wav2Vec2": "wav2vec2_model", "WavLM": "wavlm_model"}


class TorchaudioBundleEncoder(WaveformEncoder):
    """A pre-trained encoder of waveforms, and its weights from `$TORCH_HOME`, or fetched into it.

    Args:
        input_dim: 1, samples.
        frame_shift_ms: Of the samples.
        model: A name in `torchaudio.pipelines`, such as WAV2VEC2_ASR_BASE_960H.
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
        if config:
            facts = json.loads(config)
            inner = getattr(torchaudio.models, FACTORIES[facts["type"]])(**facts["params"])
        else:
            bundle = bundle_named(model)
            inner = read_pretrained(bundle.get_model, model, "torchaudio")
            inner = getattr(inner, "model", inner)  # without the module that normalises
            facts = {"type": bundle._model_type, "params": {**bundle._params, "encoder_layer_drop": 0.0}}
            facts |= {"is_normalised": bundle._normalize_waveform, "rate_hz": bundle.sample_rate}
        inner.aux = None  # of the CTC head
        check_input(input_dim, frame_shift_ms, model, facts["rate_hz"])
        kernels = [layer.kernel_size for layer in inner.feature_extractor.conv_layers]
        strides = [layer.stride for layer in inner.feature_extractor.conv_layers]
        width = facts["params"]["encoder_embed_dim"]
        super().__init__(width, math.prod(strides), dropout)
        if freeze_convolutions:
            inner.feature_extractor.requires_grad_(False)
        inner.encoder.transformer.layer_drop = 0.0
        self.model, self.is_normalised = inner, facts["is_normalised"]
        self.config = json.dumps(facts)
        self.reach = reach_of(kernels, strides)
        is_before = inner.encoder.transformer.layer_norm_first  # the first layer
        self.behind_layers = () if is_before else ("model.encoder.transformer.layer_norm",)

    def layers(self, samples: Tensor, num_frames: int) -> list[Tensor]:
        """(S,) -> (U, D) behind each layer; one frame of 0 for silence of no length."""
        transformer = self.model.encoder.transformer
        if num_frames == 0:
            return [samples.new_zeros(1, self.output_dim)] * len(transformer.layers)
        samples = normalised(samples) if self.is_normalised else samples
        padded = centred(samples, num_frames, self.subsampling, self.reach)
        convolved, _ = self.model.feature_extractor(padded[None], None)
        found = [x[0] for x in self.model.encoder.extract_features(convolved)]
        if transformer.layer_norm_first:  # before the first layer, that is
            return found
        return [*found[:-1], transformer.layer_norm(found[-1])]


def bundle_named(name: str) -> Wav2Vec2Bundle:
    """A bundle by its name. Raises: DataError when torchaudio has none of that name."""
    known = [key for key, value in vars(torchaudio.pipelines).items() if isinstance(value, Wav2Vec2Bundle)]
    if name not in known:
        raise DataError(f"model.model = '{name}': no such bundle in torchaudio.pipelines{near(name, known)}")
    return getattr(torchaudio.pipelines, name)


def ctc_head_of(model: str) -> tuple[Tensor, Tensor, dict[str, int], int]:
    """(V, D) weight, (V,) bias, places of its tokens, and that of its blank. Raises: DataError when it has none."""
    bundle = bundle_named(model)
    inner = read_pretrained(bundle.get_model, model, "torchaudio")
    aux = getattr(inner, "model", inner).aux
    if aux is None or not hasattr(bundle, "get_labels"):
        raise DataError(f"{model}: has no CTC head; choose a bundle with ASR in its name")
    labels = bundle.get_labels(blank="<pad>")
    return aux.weight.detach(), aux.bias.detach(), {label: i for i, label in enumerate(labels)}, 0
