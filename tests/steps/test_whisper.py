import json

import pytest
import torch

from steps.decoding.label_search import label_search
from steps.nnet.inference import check_lengths, pad
from steps.nnet.model import Recogniser
from steps.nnet.whisper import WhisperEncoder
from steps.tokens.token_table import TokenTable
from tests.pretrained import save_whisper
from utils.jobs.errors import DataError, UsageError

SHIFT_MS = 1000 / 16000
HEADS = {"whisper_decoder": {"type": "whisper_decoder", "weight": 1.0}}


@pytest.fixture(scope="module", params=[True, False], ids=["multilingual", "English"])
def folder(request, tmp_path_factory):
    return save_whisper(tmp_path_factory.mktemp("hub") / "whisper", is_multilingual=request.param)


def waves(lengths=(16000, 7000)):
    generator = torch.Generator().manual_seed(0)
    return pad([torch.randn(n, 1, generator=generator).numpy() for n in lengths])


def recogniser(folder, **settings):
    return Recogniser({"encoder": "whisper", "model": str(folder), **settings}, 1, 5, SHIFT_MS, heads=HEADS).eval()


@torch.inference_mode()
def test_states_are_those_of_the_genuine_class(folder):
    import transformers

    feats, feat_lens = waves()
    genuine = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    listener = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    samples = [x[:n, 0].numpy() for x, n in zip(feats, feat_lens, strict=True)]
    mels = listener(samples, sampling_rate=16000, return_tensors="pt").input_features
    found, lengths, hidden = WhisperEncoder(1, SHIFT_MS, model=str(folder)).eval()(feats, feat_lens)
    assert torch.allclose(found, genuine.model.encoder(mels).last_hidden_state, atol=1e-5)
    assert lengths.tolist() == [50, 22] and len(hidden) == 1


@torch.inference_mode()
@pytest.mark.parametrize("beam_size", [1, 3])
def test_it_writes_what_the_genuine_class_writes(folder, beam_size):
    """The search is ours, so what the class gives is compared along the hypothesis: the score of each token."""
    import transformers

    model = recogniser(folder)
    output = model(*waves())
    head = model.heads["whisper_decoder"]
    genuine = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    for b, found in enumerate(label_search(output, head, beam_size, 1)):
        best, place = found[0], torch.tensor([[*head.prompt]])
        total, banned = 0.0, head.never.clone()
        for i, token in enumerate([*best.ids, head.end_id]):
            logits = genuine.model.decoder(
                input_ids=place, encoder_hidden_states=output.encoder_out[b : b + 1]
            ).last_hidden_state[:, -1]
            logits = genuine.proj_out(logits)[0].masked_fill(banned | (head.not_first if i == 0 else False), -torch.inf)
            log_probs = logits.log_softmax(-1)
            total += float(log_probs[token])
            if beam_size == 1 and i < len(best.ids):
                assert int(log_probs.argmax()) == token
            place = torch.cat((place, torch.tensor([[token]])), 1)
        assert best.score == pytest.approx(total, abs=1e-3)
        assert len(best.ids) <= int(output.lengths[b]) and isinstance(best.text, str)


@torch.inference_mode()
def test_a_hypothesis_without_end_is_cut_where_the_decoder_knows_no_further_place(folder):
    model = recogniser(folder)
    head = model.heads["whisper_decoder"]
    head.never[head.end_id] = True
    found = label_search(model(*waves((16000 * 10,))), head, 1, 1)[0]
    assert len(found[0].ids) == head.max_tokens == 448 - len(head.prompt)


def test_a_transcript_begins_as_the_model_wants_it(folder, request):
    head = recogniser(folder).heads["whisper_decoder"]
    names = [head.tokenizer.id_to_token(token_id) for token_id in head.prompt]
    if "multilingual" in request.node.name:
        assert names == ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
        with pytest.raises(UsageError, match="does not know language 'fr'; it knows de, en"):
            recogniser(folder, language="fr")
    else:
        assert names == ["<|startoftranscript|>", "<|notimestamps|>"]


def test_a_saved_model_needs_no_other_folder(folder):
    model = recogniser(folder)
    again = recogniser("gone", config=model.encoder.config)
    again.load_state_dict(model.state_dict())
    with torch.inference_mode():
        feats = waves((3000,))
        outputs = [m(*feats) for m in (model, again)]
        pairs = zip(outputs, (model, again), strict=True)
        texts = [label_search(output, m.heads["whisper_decoder"], 1, 1) for output, m in pairs]
    assert torch.equal(outputs[0].encoder_out, outputs[1].encoder_out) and texts[0] == texts[1]


def test_what_it_cannot_hear_is_told(folder, tmp_path):
    with pytest.raises(DataError, match="Whisper hears 30 s; cut longer utterances"), torch.inference_mode():
        WhisperEncoder(1, SHIFT_MS, model=str(folder))(*waves((480001,)))
    with pytest.raises(DataError, match="no model of transformers can be loaded"):
        WhisperEncoder(1, SHIFT_MS, model=str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="it goes with encoder = 'whisper'"):
        Recogniser({"encoder": "lstm"}, 20, 5, 10.0, heads=HEADS)


def test_an_utterance_that_is_too_long_is_named(folder):
    model = recogniser(folder)
    check_lengths(model, {"short": 480000})
    with pytest.raises(DataError, match="utterance 'long': of 30.1 s, and the encoder hears 30 s at once; cut it"):
        check_lengths(model, {"short": 480000, "long": 481600})
    check_lengths(Recogniser({"encoder": "lstm"}, 20, 5, 10.0), {"long": 10**9})


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (("<blk>", "<space>", "A", "B", "'"), "A, b\u2019a. Ab-b!", "A B'A AB B"),
        (("<blk>", "<space>", "a"), "A 'a' 7 Ω", "a a 7 Ω"),
    ],
)
def test_its_spelling_becomes_that_of_the_recipe(tokens, text, expected):
    assert TokenTable(tokens, "char").respell(text) == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tokenizer.json", "its tokenizer files are missing or another model's"),
        ("generation_config.json", "does not say how a transcript begins"),
        ("model.safetensors", "no model of transformers can be loaded"),
        ("preprocessor_config.json", "no model of transformers can be loaded"),
    ],
)
def test_a_file_that_is_missing_is_told(tmp_path, name, said):
    (save_whisper(tmp_path / "whisper") / name).unlink()
    with pytest.raises(DataError, match=said):
        recogniser(tmp_path / "whisper")


def test_generation_settings_without_languages_are_told(tmp_path):
    folder = save_whisper(tmp_path / "whisper")
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    for gone in ("lang_to_id", "is_multilingual"):
        path.write_text(json.dumps({key: value for key, value in settings.items() if key != gone}))
        with pytest.raises(DataError, match="does not say how a transcript begins"):
            recogniser(folder)


@torch.inference_mode()
def test_weights_of_half_precision_are_read_in_full(tmp_path):
    import transformers

    folder = save_whisper(tmp_path / "whisper")
    transformers.WhisperForConditionalGeneration.from_pretrained(folder).half().save_pretrained(folder)
    model = recogniser(folder)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert label_search(model(*waves()), model.heads["whisper_decoder"], 1, 1)


def test_a_model_that_cannot_be_built_is_told_without_its_config(folder):
    config = recogniser(folder).encoder.config
    with pytest.raises(UsageError, match="listens to 16000 Hz") as caught:
        Recogniser({"encoder": "whisper", "model": str(folder), "config": config}, 1, 5, 1000 / 8000, heads=HEADS)
    assert len(str(caught.value)) < 400
