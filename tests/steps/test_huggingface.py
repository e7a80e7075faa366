import pytest
import torch

from steps.nnet.huggingface import HuggingFaceEncoder, ctc_head_of
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from tests.pretrained import CLASSES, save_ctc_model
from utils.jobs.errors import DataError, UsageError

SHIFT_MS = 1000 / 16000
TOKENS = ("<blk>", "a", "b", "<space>", "é")


@pytest.fixture(scope="module", params=CLASSES)
def folder(request, tmp_path_factory):
    return save_ctc_model(tmp_path_factory.mktemp("hub") / request.param, request.param)


def waves(lengths=(16000, 7000, 400, 1)):
    generator = torch.Generator().manual_seed(0)
    return pad([torch.randn(n, 1, generator=generator).numpy() for n in lengths])


@torch.inference_mode()
def test_states_are_those_of_the_genuine_class(folder):
    import transformers

    feats, feat_lens = waves((16000,))
    encoder = HuggingFaceEncoder(1, SHIFT_MS, model=str(folder)).eval()
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    x = feats[0, :, 0]
    x = torch.nn.functional.pad((x - x.mean()) / x.std(unbiased=False), (40, 40))
    expected = reference(x[None]).last_hidden_state
    found, lengths, hidden = encoder(feats, feat_lens)
    assert lengths.tolist() == [50] and len(hidden) == 1
    assert torch.allclose(found, expected, atol=1e-4)


@torch.inference_mode()
def test_a_batch_equals_its_utterances_and_has_as_many_frames_as_other_encoders(folder):
    encoder = HuggingFaceEncoder(1, SHIFT_MS, model=str(folder)).eval()
    feats, feat_lens = waves()
    whole, lengths, _ = encoder(feats, feat_lens)
    assert lengths.tolist() == [50, 22, 2, 1]
    for i, n in enumerate(feat_lens.tolist()):
        alone, _, _ = encoder(feats[i : i + 1, :n], feat_lens[i : i + 1])
        assert torch.allclose(whole[i, : lengths[i]], alone[0], atol=1e-5)
    assert encoder(torch.zeros(1, 5, 1), torch.tensor([0]))[1].tolist() == [0]


def test_a_saved_model_needs_no_other_folder(folder, tmp_path):
    settings = {"encoder": "huggingface", "model": str(folder)}
    model = Recogniser(settings, 1, 5, SHIFT_MS).eval()
    again = Recogniser(
        {"encoder": "huggingface", "model": "gone", "config": model.encoder.config}, 1, 5, SHIFT_MS
    ).eval()
    again.load_state_dict(model.state_dict())
    with torch.inference_mode():
        outputs = [m(*waves((3000,))).logits["ctc"] for m in (model, again)]
    assert torch.equal(*outputs)


def test_the_convolutions_are_frozen_unless_asked_for(folder):
    for frozen in (True, False):
        encoder = HuggingFaceEncoder(1, SHIFT_MS, model=str(folder), freeze_convolutions=frozen)
        convolutions = [p for name, p in encoder.named_parameters() if "feature_extractor" in name]
        assert convolutions and all(p.requires_grad != frozen for p in convolutions)


def test_the_ctc_head_is_that_of_the_model_in_our_order(folder):
    import transformers

    weight, bias, missing = ctc_head_of(str(folder), TOKENS, 0)
    head = transformers.AutoModelForCTC.from_pretrained(folder).lm_head
    places = {"a": 7, "b": 24, "<space>": 4, "<blk>": 0}
    for i, token in enumerate(TOKENS):
        if token in places:
            assert torch.equal(weight[i], head.weight[places[token]]) and bias[i] == head.bias[places[token]]
    assert missing == ["é"] and bias[4] == -100 and not weight[4].any()


def test_what_cannot_be_loaded_is_told_in_one_line(tmp_path, folder):
    with pytest.raises(DataError, match="nowhere: no model of transformers can be loaded"):
        HuggingFaceEncoder(1, SHIFT_MS, model=str(tmp_path / "nowhere"))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(DataError, match="half: no model of transformers can be loaded"):
        HuggingFaceEncoder(1, SHIFT_MS, model=str(tmp_path / "half"))
    with pytest.raises(DataError, match="are none of ours"):
        ctc_head_of(str(folder), ("<blk>", "ж", "я"), 0)


@pytest.mark.parametrize(
    ("input_dim", "shift_ms", "said"), [(80, 10.0, "listens to samples"), (1, 1000 / 8000, "listens to 16000 Hz")]
)
def test_features_that_it_cannot_hear_are_refused(folder, input_dim, shift_ms, said):
    with pytest.raises(UsageError, match=said):
        Recogniser({"encoder": "huggingface", "model": str(folder)}, input_dim, 5, shift_ms)
