"""Transducer (Graves 2012): the encoder's frame and the tokens written so far decide the next token, or blank."""

from typing import Literal

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels, transcribed
from steps.nnet.output import ModelOutput


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
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, shape.num_tokens)

    def join(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Encoder states after `enter` and predictor states, shapes that broadcast to (..., D) -> (..., V) logits."""
        return self.out(self.dropout(torch.tanh(encoded + predicted)))

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """As many as there are tokens, for the search writes at most one a frame."""
        return max(len(tokens), 1)

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of -ln p(transcript) over utterances with a transcript, in nats, and the number of their tokens.

        Source: torchaudio's `rnnt_loss`.
        """
        from torchaudio.functional import rnnt_loss

        found = transcribed(output, labels)
        if found is None:
            return output.encoder_out.sum() * 0.0, 0
        encoded = self.enter(found.encoder_out)[:, : int(found.lengths.max())]
        logits = self.join(encoded[:, :, None], self.predictor(found.tokens)[:, None])  # (N, U, L + 1, V)
        loss = rnnt_loss(
            logits.float().contiguous(),
            found.tokens.int(),
            found.lengths.int(),
            found.sizes.int(),
            blank=self.blank_id,
            reduction="sum",
        )
        return loss, int(found.sizes.sum())
