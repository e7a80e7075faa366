import numpy as np
import pytest
import torch

from steps.nnet.inference import pad
from steps.nnet.model import Recogniser

F = 6


def make(**settings):
    torch.manual_seed(0)
    model = {"encoder": "dnn", "dim": 32, "num_layers": 2, "left_frames": 2, "right_frames": 2, "subsampling": 2}
    made = Recogniser({**model, "dropout": 0.0}, F, 5, 10.0, heads={"autoencoder": settings})
    made.set_cmvn(np.arange(F, dtype=np.float32), np.full(F, 2.0, np.float32))
    return made


def batch(lengths=(20, 13)):
    generator = torch.Generator().manual_seed(1)
    return pad([(2 * torch.randn(n, F, generator=generator) + torch.arange(F)).numpy() for n in lengths])


def test_the_loss_is_the_mean_squared_error_of_normalised_features():
    feats, feat_lens = batch()
    model = make(bottleneck=3).eval()
    output = model(feats, feat_lens)
    head = model.heads["autoencoder"]
    total, count = head.loss(output, [None, None])
    drawn = head.features(output, "drawn")
    expected = sum(
        (((drawn[i, :n] - feats[i, :n]) / 2.0) ** 2).mean(-1).sum() for i, n in enumerate(feat_lens.tolist())
    )
    assert total.item() == pytest.approx(expected.item(), rel=1e-5) and count == 33
    assert head.features(output, "bottleneck").shape == (2, 10, 3)


def test_clean_features_are_the_target_where_they_are_given():
    feats, feat_lens = batch()
    model = make(clean="_noisy").eval()
    head, output = model.heads["autoencoder"], model(feats, feat_lens)
    clean = [x[:n] for x, n in zip(feats, feat_lens, strict=True)]
    assert head.loss(output, clean)[0].item() == pytest.approx(head.loss(output, [None, None])[0].item(), rel=1e-5)
    far = [x + 200.0 for x in clean]
    assert head.loss(output, far)[0].item() > 1000 * head.loss(output, clean)[0].item()


def test_what_is_drawn_has_the_scale_of_the_clean_features():
    feats, feat_lens = batch()
    model = make(clean="_noisy").eval()
    before = model(feats, feat_lens).encoder_out
    model.set_drawn_cmvn(np.full(F, 50.0, np.float32), np.full(F, 4.0, np.float32))
    head, output = model.heads["autoencoder"], model(feats, feat_lens)
    assert torch.equal(output.encoder_out, before)  # what is heard keeps its own
    clean = [50.0 + 4.0 * x for x in head.drawn(output)]
    assert head.loss(output, [x[:n] for x, n in zip(clean, feat_lens, strict=True)])[0].item() < 1e-6
    assert torch.allclose(head.features(output, "drawn"), torch.stack(clean), atol=1e-4)


def test_clean_features_are_taken_utterance_by_utterance():
    feats, feat_lens = batch()
    model = make(clean="_noisy").eval()
    head, output = model.heads["autoencoder"], model(feats, feat_lens)
    far = [feats[0] + 200.0, feats[1, :13] + 200.0]
    none, first, both = (head.loss(output, x)[0].item() for x in ([None, None], [far[0], None], far))
    alone = head.loss(model(feats[1:, :13], feat_lens[1:]), [None])[0].item()
    assert first == pytest.approx(
        both - head.loss(model(feats[1:, :13], feat_lens[1:]), [far[1]])[0].item() + alone, rel=1e-4
    )
    assert none < first < both


def test_noise_is_added_in_training_alone():
    feats, feat_lens = batch()
    head = make(noise_sd=0.5).heads["autoencoder"]
    noisy, frames = head.corrupt(feats, feat_lens)
    assert float((noisy - feats)[frames].std()) == pytest.approx(0.5, abs=0.1)
    assert frames.sum(1).tolist() == [20, 13]
    assert torch.equal(head.eval().corrupt(feats, feat_lens)[0], feats)


def test_it_learns_to_draw_what_it_hears():
    feats, feat_lens = batch()
    model = make(bottleneck=12)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(200):
        total, count = model.heads["autoencoder"].loss(model(feats, feat_lens), [None, None])
        losses.append(float(total.detach()) / count)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]
