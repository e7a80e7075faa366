"""Hidden Markov model on a network's state posteriors (Bourlard and Morgan 1994; Hinton et al. 2012).

Training is Viterbi training: frames are shared out evenly at first (a flat start), then each batch is aligned anew by
the model itself before it learns the states of its frames.
"""

import math

import torch
from torch import Tensor, nn

from steps.config.types import NaturalFloat, NaturalInt, PositiveFloat, PositiveInt
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels, transcribed
from steps.nnet.output import ModelOutput, is_frame

STAY, NEXT, SKIP = 0, 1, 2
SMOOTHING = 0.5  # added to each count of the bigram


class HmmHead(nn.Module):
    """A linear map to states: one of silence, a few from left to right of each token.

    Silence may stand before, between and after tokens. All paths that the states allow are equally likely; tokens
    follow each other by a bigram of the training transcripts.

    Args:
        shape: Of the model.
        num_states: Of each token, so that none is shorter than as many frames.
        flat_updates: How many updates learn from evenly shared frames.
        acoustic_scale: Of log-likelihoods against the bigram when decoding, for frames that are alike.
        lm_scale: Of the bigram when decoding.
    """

    is_framewise = True
    unit = "nats/frame"

    def __init__(
        self,
        shape: HeadShape,
        *,
        num_states: PositiveInt = 3,
        flat_updates: NaturalInt = 200,
        acoustic_scale: PositiveFloat = 0.3,
        lm_scale: NaturalFloat = 1.0,
    ):
        super().__init__()
        self.name = shape.name
        self.blank_id, self.num_states, self.flat_updates = shape.blank_id, num_states, flat_updates
        self.acoustic_scale, self.lm_scale = acoustic_scale, lm_scale
        size = 1 + (shape.num_tokens - 1) * num_states
        self.linear = nn.Linear(shape.input_dim, size)
        self.register_buffer("log_prior", torch.full((size,), -math.log(size)))
        # of a token after another; the blank is start and end
        self.register_buffer("log_bigram", torch.zeros(shape.num_tokens, shape.num_tokens))

    def forward(self, encoder_out: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, S) logits of states."""
        return self.linear(encoder_out)

    def frames_needed(self, tokens: tuple[int, ...]) -> int:
        """The least frames that tokens can be spelt in."""
        return len(tokens) * self.num_states

    def learn_bigram(self, transcripts: list[tuple[int, ...]]) -> None:
        """Counts which token follows which; the blank stands for start and end."""
        counts = torch.full_like(self.log_bigram, SMOOTHING)
        for tokens in transcripts:
            path = torch.tensor([self.blank_id, *tokens, self.blank_id])
            counts.index_put_((path[:-1], path[1:]), torch.ones(len(path) - 1), accumulate=True)
        self.log_bigram.copy_((counts / counts.sum(1, keepdim=True)).log())

    def first_state(self, tokens: Tensor) -> Tensor:
        """The first state of each token, of any shape."""
        return 1 + (tokens - (tokens > self.blank_id).long()) * self.num_states

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of -ln p(state of the frame) over utterances with a transcript, in nats, and the number of frames."""
        found = transcribed(output, labels)
        if found is None:
            return output.logits[self.name].sum() * 0.0, 0
        log_probs = output.log_probs(self.name)[found.rows]  # (N, U, S)
        chain = self.chain(found.tokens)
        if self.training and update < self.flat_updates:
            path = self.even_path(found.lengths, found.sizes, log_probs.size(1))
        else:
            prior = self.prior_of(log_probs.detach(), found.lengths) if self.training else self.log_prior
            likelihoods = (log_probs.detach() - prior).gather(-1, expand(chain, log_probs.size(1)))
            path = best_alignment(likelihoods, found.lengths, found.sizes, self.num_states)
        states = chain.gather(1, path)  # (N, U)
        chosen = log_probs.gather(-1, states[..., None])[..., 0]
        heard = is_frame(found.lengths, log_probs.size(1))
        return -chosen.masked_fill(~heard, 0.0).sum(), int(found.lengths.sum())

    def prior_of(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        """(S,) log of the mean posterior of each state, half of it of a batch, (N, U, S), half as it was found before.

        It follows the model from one update to the next: with an old prior, what grew likelier since gets more frames
        than are its due, and grows again, until all is silence.
        """
        batch = log_probs.exp()[is_frame(lengths, log_probs.size(1))].mean(0)
        return torch.logaddexp(batch.log(), self.log_prior) - math.log(2)

    def chain(self, tokens: Tensor) -> Tensor:
        """(N, L) -> (N, P) states from left to right: silence, then each token's and silence again."""
        N, L = tokens.shape
        own = self.first_state(tokens)[..., None] + torch.arange(self.num_states, device=tokens.device)  # (N, L, n)
        silence = tokens.new_zeros(N, L, 1)
        return torch.cat((tokens.new_zeros(N, 1), torch.cat((own, silence), -1).flatten(1)), 1)

    def even_path(self, lengths: Tensor, sizes: Tensor, max_len: int) -> Tensor:
        """(N, U) places in the chain: frames shared evenly by the tokens' states, and silence at both ends."""
        parts = (sizes * self.num_states + 2)[:, None]
        u = torch.arange(max_len, device=lengths.device)
        part = torch.minimum(u * parts // lengths.clamp(min=1)[:, None], parts - 1)
        place = part + (part - 1).clamp(min=0) // self.num_states  # silence between tokens is left out
        return torch.minimum(place, sizes[:, None] * (self.num_states + 1))


def expand(chain: Tensor, max_len: int) -> Tensor:
    """(N, P) -> (N, U, P)"""
    return chain[:, None].expand(-1, max_len, -1)


def best_alignment(likelihoods: Tensor, lengths: Tensor, sizes: Tensor, num_states: int) -> Tensor:
    """The most likely way through chains of states (Viterbi 1967).

    Args:
        likelihoods: (N, U, P) log-likelihood of each place of the chain in each frame.
        lengths: (N,) frames, at least as many as the tokens' states.
        sizes: (N,) tokens.
        num_states: Of each token.

    Returns: (N, U) places; behind the last frame they mean nothing.
    """
    N, U, P = likelihoods.shape
    place = torch.arange(P, device=likelihoods.device)
    last = sizes[:, None] * (num_states + 1)  # the final silence of each utterance
    may_skip = (place % (num_states + 1) == 1) & (place > 1)
    lowest = torch.finfo(likelihoods.dtype).min / 2
    score = likelihoods[:, 0].masked_fill(place > 1, lowest)
    came = torch.empty(U, N, P, dtype=torch.int8, device=likelihoods.device)
    final = score
    for u in range(1, U):
        before = nn.functional.pad(score, (2, 0), value=lowest)
        skipped = before[:, :-2].masked_fill(~may_skip, lowest)
        best, came[u] = max_of(score, before[:, 1:-1], skipped)
        score = (best + likelihoods[:, u]).clamp(min=lowest)
        final = torch.where((lengths == u + 1)[:, None], score, final)
    ends = final.masked_fill((place != last) & (place != last - 1), lowest * 2)
    here = ends.argmax(-1)
    path = [here]
    for u in range(U - 1, 0, -1):
        moved = here - came[u].gather(1, here[:, None])[:, 0].long()
        here = torch.where(u < lengths, moved, here)
        path.append(here)
    return torch.stack(path[::-1], 1)


def max_of(stay: Tensor, come: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
    """The best of three, and which it is; the first of equals."""
    best, which = torch.stack((stay, come, skip)).max(0)
    return best, which.to(torch.int8)
