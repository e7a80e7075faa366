import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from steps.nnet.huggingface import HuggingFaceEncoder
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from steps.nnet.registry import encoder_class
from steps.nnet.torchaudio_bundle import TorchaudioBundleEncoder
from steps.tokens.token_table import TokenTable
from steps.training.initialise import lr_scales, take_ctc_head
from tests.pretrained import CLASSES, save_bundle, save_ctc_model
from utils.jobs.errors import DataError, UsageError

SHIFT_MS = 1000 / 16000
TOKENS = ("<blk>", "a", "b", "<space>", "é")


@pytest.fixture(scope="module", params=[(kind, is_large) for kind in CLASSES for is_large in (False, True)], ids=str)
def folder(request, tmp_path_factory):
    kind, is_large = request.param
    return save_ctc_model(tmp_path_factory.mktemp("hub") / kind, kind, is_large=is_large)


@pytest.fixture(params=[("Wav2Vec2", False), ("Wav2Vec2", True), ("WavLM", False)], ids=str)
def bundle(request, tmp_path, monkeypatch):
    kind, is_large = request.param
    return save_bundle(tmp_path / "torch", monkeypatch, kind, is_large=is_large)


@pytest.fixture(params=[*CLASSES, "bundle"])
def settings(request, tmp_path, monkeypatch):
    """[model] of each kind."""
    if request.param == "bundle":
        return {"encoder": "torchaudio_bundle", "model": save_bundle(tmp_path / "torch", monkeypatch)}
    return {"encoder": "huggingface", "model": str(save_ctc_model(tmp_path / "hub", request.param))}


def encoder_of(settings, **more):
    return encoder_class(settings["encoder"])(1, SHIFT_MS, model=settings["model"], **more).eval()


def waves(lengths=(16000, 7000, 400, 1)):
    generator = torch.Generator().manual_seed(0)
    return pad([torch.randn(n, 1, generator=generator).numpy() for n in lengths])


@torch.inference_mode()
def test_states_are_those_of_the_genuine_class(folder):
    import transformers

    feats, feat_lens = waves((16000,))
    encoder = HuggingFaceEncoder(1, SHIFT_MS, model=str(folder)).eval()
    reference = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    x = feats[0, :, 0]
    x = torch.nn.functional.pad((x - x.mean()) / x.std(unbiased=False), (40, 40))
    expected = reference(x[None]).last_hidden_state
    found, lengths, hidden = encoder(feats, feat_lens)
    assert lengths.tolist() == [50] and len(hidden) == 1
    assert torch.allclose(found, expected, atol=1e-4)


@torch.inference_mode()
def test_states_are_those_of_the_bundle(bundle):
    import torchaudio

    feats, feat_lens = waves((16000,))
    reference = getattr(torchaudio.pipelines, bundle).get_model()
    reference = getattr(reference, "model", reference)
    x = feats[0, :, 0]
    if getattr(torchaudio.pipelines, bundle)._normalize_waveform:
        x = torch.nn.functional.layer_norm(x, x.shape)
    expected = reference.encoder(reference.feature_extractor(torch.nn.functional.pad(x, (40, 40))[None], None)[0], None)
    found, lengths, hidden = TorchaudioBundleEncoder(1, SHIFT_MS, model=bundle).eval()(feats, feat_lens)
    assert lengths.tolist() == [50] and len(hidden) == 1
    assert torch.allclose(found, expected, atol=1e-4)


@torch.inference_mode()
def test_a_batch_equals_its_utterances_and_has_as_many_frames_as_other_encoders(settings):
    encoder = encoder_of(settings)
    feats, feat_lens = waves()
    whole, lengths, _ = encoder(feats, feat_lens)
    assert lengths.tolist() == [50, 22, 2, 1]
    for i, n in enumerate(feat_lens.tolist()):
        alone, _, _ = encoder(feats[i : i + 1, :n], feat_lens[i : i + 1])
        assert torch.allclose(whole[i, : lengths[i]], alone[0], atol=1e-5)
    assert encoder(torch.zeros(1, 5, 1), torch.tensor([0]))[1].tolist() == [0]


def test_a_saved_model_needs_no_other_folder(settings):
    model = Recogniser(settings, 1, 5, SHIFT_MS).eval()
    again = Recogniser({**settings, "model": "gone", "config": model.encoder.config}, 1, 5, SHIFT_MS).eval()
    again.load_state_dict(model.state_dict())
    with torch.inference_mode():
        outputs = [m(*waves((3000,))).logits["ctc"] for m in (model, again)]
    assert torch.equal(*outputs)


def test_the_convolutions_are_frozen_unless_asked_for(settings):
    for frozen in (True, False):
        encoder = encoder_of(settings, freeze_convolutions=frozen)
        convolutions = [p for name, p in encoder.named_parameters() if "feature_extractor" in name]
        assert convolutions and all(p.requires_grad != frozen for p in convolutions)


def test_the_noise_of_training_depends_on_torchs_seed_alone(settings):
    """Some have masks of their own, which must not come from elsewhere, and refuse short utterances."""
    encoder, (samples, lengths) = encoder_of(settings).train(), waves()
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(encoder(samples, lengths)[0])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def published_head(settings):
    """(linear layer, place of `|`), loaded as the package's users do."""
    if settings["encoder"] == "torchaudio_bundle":
        import torchaudio

        return getattr(torchaudio.pipelines, settings["model"]).get_model().aux, 1
    import transformers

    return transformers.AutoModelForCTC.from_pretrained(settings["model"]).lm_head, 4


def test_the_ctc_head_is_that_of_the_model_in_our_order(settings):
    model = Recogniser(settings, 1, 5, SHIFT_MS)
    take_ctc_head(model, settings, TokenTable(TOKENS, "char"))
    head, space = published_head(settings)
    found = model.heads["ctc"].linear
    places = {"a": space + 3, "b": space + 20, "<space>": space, "<blk>": 0}
    for i, token in enumerate(TOKENS):
        if token in places:
            assert torch.equal(found.weight[i], head.weight[places[token]])
            assert found.bias[i] == head.bias[places[token]]
    assert found.bias[4] == -100 and not found.weight[4].any()


def test_the_norm_behind_the_layers_learns_as_fast_as_the_heads(settings, tmp_path):
    """Large models have it there; base ones before the first layer."""
    base = Recogniser(settings, 1, 5, SHIFT_MS)
    large = {"encoder": "huggingface", "model": str(save_ctc_model(tmp_path / "large", "wav2vec2", is_large=True))}
    for model, is_behind in ((base, False), (Recogniser(large, 1, 5, SHIFT_MS), True)):
        scales = lr_scales(model, 0.5)
        norm = next(
            name
            for name in scales
            if re.fullmatch(r"encoder\.model\.encoder\.(transformer\.)?layer_norm\.weight", name)
        )
        assert (scales[norm] == 1.0) == is_behind


def test_tokens_that_the_head_lacks_are_refused(settings):
    model = Recogniser(settings, 1, 3, SHIFT_MS)
    with pytest.raises(DataError, match="are none of ours"):
        take_ctc_head(model, settings, TokenTable(("<blk>", "ж", "я"), "char"))


def test_a_bundle_that_is_unknown_or_has_no_head_is_told(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="no such bundle in torchaudio.pipelines; valid: HUBERT_BASE"):
        TorchaudioBundleEncoder(1, SHIFT_MS, model="HUBERT_BAS")
    name = save_bundle(tmp_path / "torch", monkeypatch)
    (tmp_path / f"torch/hub/checkpoints/{name.lower()}.pth").write_bytes(b"half a download")
    with pytest.raises(DataError, match=f"{name}: no model of torchaudio can be loaded"):
        TorchaudioBundleEncoder(1, SHIFT_MS, model=name)


def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path, folder):
    with pytest.raises(DataError, match="nowhere: no model of transformers can be loaded"):
        HuggingFaceEncoder(1, SHIFT_MS, model=str(tmp_path / "nowhere"))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(DataError, match="half: no model of transformers can be loaded"):
        HuggingFaceEncoder(1, SHIFT_MS, model=str(tmp_path / "half"))


@pytest.mark.parametrize(
    ("input_dim", "shift_ms", "said"), [(80, 10.0, "listens to samples"), (1, 1000 / 8000, "listens to 16000 Hz")]
)
def test_features_that_it_cannot_hear_are_refused(settings, input_dim, shift_ms, said):
    with pytest.raises(UsageError, match=said):
        Recogniser(settings, input_dim, 5, shift_ms)


def without_weights(folder, part):
    tensors = load_file(folder / "model.safetensors")
    left = {name: value for name, value in tensors.items() if part not in name}
    save_file(left, folder / "model.safetensors", {"format": "pt"})


FAULTS = {
    "half of the weights": lambda f: (f / "model.safetensors").write_bytes(
        (f / "model.safetensors").read_bytes()[:9999]
    ),
    "no weights of a layer": lambda f: without_weights(f, "layers.1."),
    "no CTC head": lambda f: without_weights(f, "lm_head"),
    "no vocab.json": lambda f: (f / "vocab.json").unlink(),
    "vocab.json of another kind": lambda f: (f / "vocab.json").write_text("[]"),
    "config.json with a wrong type": lambda f: (f / "config.json").write_text(
        '{"model_type": "hubert", "conv_dim": 3}'
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_folder_is_told_in_one_line(tmp_path, fault):
    model = {"encoder": "huggingface", "model": str(save_ctc_model(tmp_path / "hub", "wav2vec2"))}
    FAULTS[fault](tmp_path / "hub")
    with pytest.raises(DataError) as caught:
        take_ctc_head(Recogniser(model, 1, 5, SHIFT_MS), model, TokenTable(TOKENS, "char"))
    assert str(caught.value).startswith(f"{tmp_path}/hub: ") and "\n" not in str(caught.value)


def test_a_model_without_the_weight_of_masks_is_whole(tmp_path):
    folder = save_ctc_model(tmp_path / "hub", "wav2vec2")
    without_weights(folder, "masked_spec_embed")
    assert HuggingFaceEncoder(1, SHIFT_MS, model=str(folder))


def test_letters_of_both_cases_are_taken_as_they_are(settings, monkeypatch):
    weight, bias = torch.arange(5.0)[:, None].expand(5, 16), torch.arange(5.0)
    places = {"a": 1, "b": 2, "A": 3, "B": 4}
    module = f"steps.nnet.{settings['encoder']}.ctc_head_of"
    monkeypatch.setattr(module, lambda _: (weight[:, :1].expand(5, width), bias, places, 0))
    for tokens, rows in ((("<blk>", "a", "b", "A", "B"), [0, 1, 2, 3, 4]), (("<blk>", "a", "B"), [0, 1, 4])):
        model = Recogniser(settings, 1, len(tokens), SHIFT_MS)
        width = model.heads["ctc"].linear.in_features
        take_ctc_head(model, settings, TokenTable(tokens, "char"))
        assert model.heads["ctc"].linear.bias.tolist() == rows
