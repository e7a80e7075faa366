"""Listen, Attend and Spell (Chan et al. 2016): an LSTM that writes token after token, with location-aware attention."""

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels, Transcribed, label_cross_entropy, transcribed
from steps.nnet.dropout import Dropout
from steps.nnet.output import ModelOutput, is_frame

LOCATION_CHANNELS, LOCATION_KERNEL = 8, 31  # of the convolution over earlier attention


class Attention(nn.Module):
    """Where to listen, from the decoder's state and from where it listened before (Chorowski et al. 2015, eq. 9)."""

    def __init__(self, input_dim: int, dim: int):
        super().__init__()
        self.key = nn.Linear(input_dim, dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.before = nn.Conv1d(1, LOCATION_CHANNELS, LOCATION_KERNEL, padding=LOCATION_KERNEL // 2, bias=False)
        self.location = nn.Linear(LOCATION_CHANNELS, dim, bias=False)
        self.energy = nn.Linear(dim, 1, bias=False)

    def forward(self, keys: Tensor, query: Tensor, listened: Tensor, heard: Tensor) -> Tensor:
        """(N, U, D), (N, D), (N, U) summed weights, (N, U) bool -> (N, U) weights that sum to 1."""
        location = self.location(self.before(listened[:, None]).transpose(1, 2))
        energy = self.energy(torch.tanh(keys + self.query(query)[:, None] + location))[..., 0]
        return energy.float().masked_fill(~heard, -torch.inf).softmax(-1).to(keys.dtype)


class LasHead(nn.Module):
    """An LSTM over embedded tokens and what attention heard.

    Args:
        shape: Of the model.
        dim: Width of the LSTM.
        dropout: Before the output.
        label_smoothing: Share of each target that is spread over all tokens.
    """

    is_framewise = False
    unit = "nats/token"

    def __init__(
        self,
        shape: HeadShape,
        *,
        dim: PositiveInt = 128,
        dropout: Fraction = 0.1,
        label_smoothing: Fraction = 0.1,
    ):
        super().__init__()
        self.end_id = shape.blank_id
        self.dim = dim
        self.label_smoothing = label_smoothing
        self.embedding = nn.Embedding(shape.num_tokens, dim)
        self.lstm = nn.LSTMCell(dim + shape.input_dim, dim)
        self.attention = Attention(shape.input_dim, dim)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(dim + shape.input_dim, shape.num_tokens)

    def start(self, encoder_out: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What `step` begins with, for N hypotheses."""
        N, U, D = encoder_out.size()
        nothing = encoder_out.new_zeros
        return {
            "encoder_out": encoder_out,
            "heard": is_frame(lengths.clamp(min=1), U),
            "keys": self.attention.key(encoder_out),
            "hidden": nothing(N, self.dim),
            "cell": nothing(N, self.dim),
            "context": nothing(N, D),
            "listened": nothing(N, U),
        }

    def advance(self, last: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N,) last tokens -> (N, V) logits of the next, and the new state, with the attention's "weights" (N, U)."""
        heard = torch.cat((self.embedding(last), state["context"]), -1)
        hidden, cell = self.lstm(heard, (state["hidden"], state["cell"]))
        weights = self.attention(state["keys"], hidden, state["listened"], state["heard"])
        context = (weights[:, None] @ state["encoder_out"])[:, 0]
        new = {"hidden": hidden, "cell": cell, "context": context, "weights": weights}
        logits = self.out(self.dropout(torch.cat((hidden, context), -1)))
        return logits, state | new | {"listened": state["listened"] + weights}

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """As many as there are tokens, for the search writes at most one a frame."""
        return max(len(tokens), 1)

    def forced(self, found: Transcribed) -> Tensor:
        """(N, L + 1, V) logits after the start and after each token of the transcripts."""
        state, logits = self.start(found.encoder_out, found.lengths), []
        for last in nn.functional.pad(found.tokens, (1, 0), value=self.end_id).unbind(1):
            scores, state = self.advance(last, state)
            logits.append(scores)
        return torch.stack(logits, 1)

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of the cross-entropy of tokens and ends, in nats, and their number."""
        found = transcribed(output, labels)
        if found is None:
            return output.encoder_out.sum() * 0.0, 0
        return label_cross_entropy(self.forced(found), found, self.end_id, self.label_smoothing)

    def step(self, tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, L) tokens so far -> (N, V) log-probabilities of the next, and the new state."""
        last = tokens[:, -1] if tokens.size(1) else tokens.new_full((len(tokens),), self.end_id)
        logits, state = self.advance(last, state)
        return logits.float().log_softmax(-1), state
