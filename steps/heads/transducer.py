"""Transducer (Graves 2012): the encoder's frame and the tokens written so far decide the next token, or blank."""

from typing import Literal

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels, Transcribed, transcribed
from steps.nnet.dropout import Dropout
from steps.nnet.output import ModelOutput

LEAST = -30.0  # nats, of what cannot be


class StatelessPredictor(nn.Module):
    """What a few last tokens lead to expect (Ghodsi et al. 2020)."""

    def __init__(self, num_tokens: int, dim: int, context: int, blank_id: int):
        super().__init__()
        self.context, self.blank_id = context, blank_id
        self.embedding = nn.Embedding(num_tokens, dim)
        self.conv = nn.Conv1d(dim, dim, context)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L) -> (N, L + 1, D), after the start and after each token."""
        x = nn.functional.pad(tokens, (self.context, 0), value=self.blank_id)
        return self.conv(self.embedding(x).transpose(1, 2)).relu().transpose(1, 2)


class LstmPredictor(nn.Module):
    """What all tokens so far lead to expect."""

    def __init__(self, num_tokens: int, dim: int, blank_id: int):
        super().__init__()
        self.blank_id = blank_id
        self.embedding = nn.Embedding(num_tokens, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L) -> (N, L + 1, D), after the start and after each token."""
        return self.lstm(self.embedding(nn.functional.pad(tokens, (1, 0), value=self.blank_id)))[0]


class TransducerHead(nn.Module):
    """Predictor and joiner.

    Args:
        shape: Of the model.
        predictor: What it knows of the tokens written: the last few, or all.
        context: Tokens that a stateless predictor knows.
        dim: Width of predictor and joiner.
        dropout: Before the output.
    """

    is_framewise = False
    unit = "nats/token"

    def __init__(
        self,
        shape: HeadShape,
        *,
        predictor: Literal["stateless", "lstm"] = "stateless",
        context: PositiveInt = 2,
        dim: PositiveInt = 128,
        dropout: Fraction = 0.1,
    ):
        super().__init__()
        self.blank_id = shape.blank_id
        if predictor == "lstm":
            self.predictor: nn.Module = LstmPredictor(shape.num_tokens, dim, shape.blank_id)
        else:
            self.predictor = StatelessPredictor(shape.num_tokens, dim, context, shape.blank_id)
        self.enter = nn.Linear(shape.input_dim, dim)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(dim, shape.num_tokens)

    def join(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Encoder states after `enter` and predictor states, shapes that broadcast to (..., D) -> (..., V) logits."""
        return self.out(self.dropout(torch.tanh(encoded + predicted)))

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """As many as there are tokens, for the search writes at most one a frame."""
        return max(len(tokens), 1)

    def joint(self, found: Transcribed) -> Tensor:
        """(N, U, L + 1, V) logits in each frame after the start and after each token of the transcripts."""
        encoded = self.enter(found.encoder_out)[:, : int(found.lengths.max())]
        return self.join(encoded[:, :, None], self.predictor(found.tokens)[:, None])

    def forced(self, found: Transcribed) -> Tensor:
        """(N, U, L + 1, 3) log-probabilities of the transcripts' next token, of blank, and of all others together."""
        log_probs = self.joint(found).float().log_softmax(-1)
        following = nn.functional.pad(found.tokens, (0, 1), value=self.blank_id)  # at the end, nothing but blank
        following = following[:, None, :, None].expand(-1, log_probs.size(1), -1, -1)
        label = log_probs.gather(-1, following).masked_fill(following == self.blank_id, LEAST)
        is_either = torch.zeros_like(log_probs, dtype=torch.bool).scatter_(-1, following, True)
        is_either[..., self.blank_id] = True
        rest = log_probs.masked_fill(is_either, 100 * LEAST).logsumexp(-1, keepdim=True).clamp(min=LEAST)
        return torch.cat((label, log_probs[..., self.blank_id, None], rest), -1)

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of -ln p(transcript) over utterances with a transcript, in nats, and the number of their tokens.

        Source: torchaudio's `rnnt_loss`.
        """
        from torchaudio.functional import rnnt_loss

        found = transcribed(output, labels)
        if found is None:
            return output.encoder_out.sum() * 0.0, 0
        loss = rnnt_loss(
            self.joint(found).float().contiguous(),
            found.tokens.int(),
            found.lengths.int(),
            found.sizes.int(),
            blank=self.blank_id,
            reduction="sum",
        )
        return loss, int(found.sizes.sum())
