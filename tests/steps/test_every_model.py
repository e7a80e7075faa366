"""Every encoder under every head: it learns, and says the same alone, in a batch, from its folder and as a stream."""

import json

import pytest
import torch

from steps.config.schema import DecodeConfig
from steps.decoding.decode_set import can_write, decoder_of
from steps.heads.registry import HIDING, SELF_SUPERVISED
from steps.nnet.model import ModelConfig, in_use, load_model
from steps.nnet.streaming import Past
from steps.nnet.tensor_file import save_tensors
from steps.tokens.token_table import TokenTable
from tests.models import OF_HEADS, OWN, F, V, batch, make, settings_of

TABLE = TokenTable(("<blk>", *"abcd"), "char")
CASES = [(encoder, head) for encoder in OWN for head in OF_HEADS]


def what_to_learn(head, labels):
    """Of each utterance: its tokens, or whether they are many, or nothing."""
    if head == "classifier":
        return [int(len(tokens) > 3) for tokens in labels]
    return [None if head in SELF_SUPERVISED else tokens for tokens in labels]


def said(model, output):
    """What each search of a head makes of an output: the best tokens of each utterance, or its class."""
    (name, head) = next(iter(model.heads.items()))
    if not can_write(head):
        return [head.scores(output).argmax(-1).tolist()] if name == "classifier" else []
    kinds = {"hmm": ["greedy"], "transducer": ["beam"]}  # a transducer's likeliest alignment may be an unlikely text
    searches = [decoder_of(DecodeConfig(kind), model) for kind in kinds.get(name, ["greedy", "beam"])]
    return [[tuple(nbest[0].ids) for nbest in search(output)] for search in searches]


def learn(model, head, labels):
    """Trains on the eight utterances until no search makes an error; pre-training until a third of the loss is gone."""
    feats, feat_lens, tokens = batch()
    if head == "hmm":
        model.heads["hmm"].learn_bigram(tokens)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    first = None
    for update in range(400):
        loss, count = model.train().heads[head].loss(model(feats, feat_lens), labels, update)
        optimizer.zero_grad()
        (loss / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        share = loss.item() / count
        first = first or share
        if head in SELF_SUPERVISED and share < 0.7 * first:
            return
        if update % 20 == 19 and head not in SELF_SUPERVISED:
            with torch.inference_mode():
                found = said(model, model.eval()(feats, feat_lens))
            if all(heard == labels for heard in found):
                return
    raise AssertionError((found if head not in SELF_SUPERVISED else (first, share), labels))


def save(model, encoder, head, folder):
    """Writes the model's folder."""
    heads = {head: {"type": head, "tokens": "", **OF_HEADS[head]}}
    features = {"num_mel_bins": F}
    config = ModelConfig("x", 0, settings_of(encoder), features, "char", V, TABLE.sha256, 0, {}, heads=heads)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "tokens.txt").write_text(TABLE.to_text())
    save_tensors(folder / "model.safetensors", model.state_dict())


@pytest.mark.parametrize(("encoder", "head"), CASES)
def test_every_encoder_works_under_every_head(encoder, head, tmp_path):
    feats, feat_lens, tokens = batch()
    model, labels = make(encoder, head), what_to_learn(head, tokens)
    learn(model, head, labels)
    with torch.inference_mode():
        output = in_use(model)(feats, feat_lens)
        sizes, louder = feat_lens.tolist(), feats.clone()
        assert output.lengths.tolist() == model.output_lens(feat_lens).tolist() == [-(-n // 2) for n in sizes]
        for row, n in enumerate(sizes):
            louder[row, n:] = 1e6
        assert torch.equal(model(louder, feat_lens).encoder_out, output.encoder_out)
        for row, n in enumerate(sizes):
            alone = model(feats[row : row + 1, :n], feat_lens[row : row + 1])
            u = int(alone.lengths[0])
            assert torch.allclose(alone.encoder_out[0, :u], output.encoder_out[row, :u], atol=1e-4)
            assert [found[row] for found in said(model, output)] == [found[0] for found in said(model, alone)]
        save(model, encoder, head, tmp_path)
        loaded = load_model(tmp_path).model
        again = loaded(feats, feat_lens)
        assert torch.equal(again.encoder_out, output.encoder_out) and said(loaded, again) == said(model, output)
        assert again.logits.keys() == output.logits.keys()
        assert all(torch.equal(again.logits[name], x) for name, x in output.logits.items())


@pytest.mark.parametrize(("encoder", "head"), [case for case in CASES if case[1] not in HIDING])
@torch.inference_mode()
def test_every_encoder_streams_under_every_head(encoder, head):
    """Frame by frame heads say the same at once; others, of the states that came so far."""
    feats, feat_lens, _ = batch()
    model = make(encoder, head, streams=True).eval()
    for row, n in enumerate(feat_lens.tolist()):
        whole, past, parts = model(feats[row : row + 1, :n], feat_lens[row : row + 1]), Past(), []
        for start in range(0, n, model.chunk_frames):
            size = min(model.chunk_frames, n - start)
            parts.append(model(feats[row : row + 1, start : start + size], torch.tensor([size]), past=past))
        states = torch.cat([part.encoder_out[:, : int(part.lengths[0])] for part in parts], 1)
        assert torch.allclose(states, whole.encoder_out[:, : int(whole.lengths[0])], atol=1e-4)
        for name in whole.logits:
            logits = torch.cat([part.logits[name][:, : int(part.lengths[0])] for part in parts], 1)
            assert torch.allclose(logits, whole.logits[name][:, : int(whole.lengths[0])], atol=1e-4)
