"""Hidden Markov model on a network's state posteriors (Bourlard and Morgan 1994; Hinton et al. 2012).

Training is Viterbi training: frames are shared out evenly at first (a flat start), then each batch is aligned anew by
the model itself before it learns the states of its frames.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from steps.config.types import NaturalFloat, NaturalInt, PositiveFloat, PositiveInt
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels, transcribed
from steps.nnet.output import ModelOutput, is_frame

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
    heard, sizes, lengths = (x.cpu().numpy() for x in (likelihoods, sizes, lengths))
    rows, place = np.arange(N), np.arange(P)
    may_skip = (place % (num_states + 1) == 1) & (place > 1)  # the silence before a token
    skipped = np.where(may_skip, 0.0, -np.inf).astype(heard.dtype)
    scores = np.full((U, N, P + 2), -np.inf, heard.dtype)  # of the best way to each place, two before the first
    stay, come, skip = scores[:, :, 2:], scores[:, :, 1:-1], scores[:, :, :-2]
    stay[0, :, :2] = heard[:, 0, :2]
    for u in range(1, U):
        best = np.maximum(stay[u - 1], come[u - 1])
        stay[u] = np.maximum(best, skip[u - 1] + skipped) + heard[:, u]
    steps = np.where(skip + skipped > np.maximum(stay, come), 2, come > stay)  # to the place in the next frame
    last = sizes * (num_states + 1)  # the final silence of each utterance
    spoken, silent = (scores[lengths - 1, rows, last + shift] for shift in (1, 2))
    here = last - (spoken >= silent)
    path = np.empty((N, U), np.int64)
    for u in range(U - 1, -1, -1):
        here = here - (u + 1 < lengths) * steps[u, rows, here]
        path[:, u] = here
    return torch.from_numpy(path).to(likelihoods.device)
