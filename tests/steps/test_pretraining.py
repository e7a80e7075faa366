import pytest
import torch

from steps.distillation.sources import Average, Heard, Listener
from steps.heads.masking import hidden_spans, stack_frames
from steps.heads.registry import SELF_SUPERVISED
from steps.nnet.inference import pad
from steps.nnet.model import Recogniser
from utils.jobs.errors import UsageError

F = 6


def make(head, **settings):
    torch.manual_seed(0)
    model = {"encoder": "lstm", "dim": 16, "bidirectional": True, "subsampling": 3, "dropout": 0.0}
    spans = {} if head == "autoencoder" else {"start_share": 0.1, "span_ms": 60.0}
    return Recogniser(model, F, 5, 10.0, heads={head: spans | settings})


def batch(lengths=(50, 31, 4)):
    generator = torch.Generator().manual_seed(1)
    return pad([torch.randn(n, F, generator=generator).numpy() for n in lengths])


def test_spans_have_their_length_and_share():
    torch.manual_seed(0)
    hidden = hidden_spans(torch.tensor([100_000]), 100_000, 0.01, 10, True)[0]
    assert float(hidden.float().mean()) == pytest.approx(1 - 0.99**10, abs=0.01)
    edges = torch.diff(torch.nn.functional.pad(hidden.int(), (1, 1)))
    spans = (edges == -1).nonzero()[:, 0] - (edges == 1).nonzero()[:, 0]
    assert spans[:-1].min() == 10


def test_nothing_is_hidden_behind_the_end():
    assert not hidden_spans(torch.tensor([5, 30]), 30, 0.9, 4, True)[0, 5:].any()


def test_an_utterance_is_hidden_alike_at_each_look_and_in_any_batch():
    several = hidden_spans(torch.tensor([50, 31, 4]), 50, 0.1, 6, False)
    alone = hidden_spans(torch.tensor([31]), 31, 0.1, 6, False)
    assert torch.equal(several[1, :31], alone[0]) and alone.any()


def test_stacks_hold_the_frames_of_a_state():
    x = torch.arange(14.0).view(1, 7, 2)
    assert stack_frames(x, 3)[0].tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13, 0, 0, 0, 0]]


@pytest.mark.parametrize("head", SELF_SUPERVISED)
def test_the_loss_of_a_batch_is_the_sum_of_its_utterances(head):
    feats, feat_lens = batch()
    model = make(head).eval()
    with torch.inference_mode():
        total, count = model.heads[head].loss(model(feats, feat_lens), [None] * 3)
        alone = [
            model.heads[head].loss(model(feats[i : i + 1, :n], feat_lens[i : i + 1]), [None])
            for i, n in enumerate(feat_lens.tolist())
        ]
    assert float(total) == pytest.approx(sum(float(loss) for loss, _ in alone), rel=1e-4)
    assert count == sum(number for _, number in alone) > 0


@pytest.mark.parametrize("head", ["best_rq", "reconstruction"])
def test_the_encoder_does_not_hear_hidden_frames(head):
    feats, feat_lens = batch((50,))
    model = make(head).eval()
    with torch.inference_mode():
        before = model(feats, feat_lens)
        feats[before.hidden_frames] += 5
        after = model(feats, feat_lens)
    assert torch.equal(before.encoder_out, after.encoder_out) and not torch.equal(before.clean, after.clean)


@pytest.mark.parametrize("head", SELF_SUPERVISED)
def test_hidden_frames_are_learnt_from_their_surroundings(head):
    """Each utterance is one sound, so that what is hidden can be known."""
    sounds = torch.randn(8, 1, F, generator=torch.Generator().manual_seed(2))
    feats, feat_lens = sounds.expand(8, 48, F).contiguous(), torch.full((8,), 48)
    model = make(head).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        loss, count = model.heads[head].loss(model(feats, feat_lens), [None] * 8)
        optimizer.zero_grad()
        (loss / max(count, 1)).backward()
        optimizer.step()
        losses.append(loss.item() / max(count, 1))
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])


def test_codes_are_those_of_the_nearest_entry_and_stay():
    model = make("best_rq", codebook_size=7, code_dim=4)
    head, (feats, _) = model.heads["best_rq"], batch((9,))
    projected = stack_frames(feats, 3)[0] @ head.projection
    distance = torch.cdist(projected / projected.norm(dim=-1, keepdim=True), head.codebook)
    assert head.codes(feats)[0].tolist() == distance.argmin(-1).tolist()
    assert not {"projection", "codebook"} & {name for name, _ in head.named_parameters()}


def test_two_heads_that_hide_frames_are_refused():
    with pytest.raises(UsageError, match="best_rq and reconstruction both hide frames"):
        Recogniser({"encoder": "lstm"}, F, 5, 10.0, heads={"best_rq": {}, "reconstruction": {}})


@pytest.mark.parametrize("head", SELF_SUPERVISED)
def test_a_head_beside_one_that_writes_hides_nothing_in_use(head):
    feats, feat_lens = batch()
    torch.manual_seed(0)
    model = Recogniser({"encoder": "lstm", "dim": 16, "dropout": 0.0}, F, 5, 10.0, heads={"ctc": {}, head: {}})
    output = model.eval()(feats, feat_lens)
    assert torch.equal(output.encoder_out, model.encoder(feats, feat_lens)[0])
    assert model.heads[head].loss(output, [None] * 3)[1] == (85 if head == "autoencoder" else 0)
    assert model.train()(feats, feat_lens).hidden_frames.any()


@pytest.mark.parametrize("head", SELF_SUPERVISED)
def test_what_is_wanted_is_not_masked(head):
    feats, feat_lens = batch()
    output = make(head).train()(feats, feat_lens, lambda x, lengths: x * 0)
    assert torch.equal(output.clean, feats)


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_a_teacher_that_learnt_without_transcripts_hears_everything(kind):
    """Only its own training, and the loss on dev, hide frames."""
    torch.manual_seed(0)
    settings = {"encoder": "lstm", "dim": 8, "num_layers": 1, "subsampling": 1}
    model = Recogniser(settings, 12, 5, 10.0, heads={kind: {"type": kind}}).eval()
    feats, lens = torch.randn(1, 500, 12), torch.tensor([500])
    heard = Heard(["a"], [None], feats, lens)
    average = Average(model, 0.99)(heard, None)
    with torch.no_grad():
        expected, _, _ = model.encoder((feats - model.mean) * model.inverse_sd, lens)
        assert model(feats, lens).hidden_frames.any()
    assert torch.equal(average.encoder_out, expected) and not average.hidden_frames.any()
    assert not Listener(model)(heard, None).hidden_frames.any()
