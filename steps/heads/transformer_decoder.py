"""Transformer decoder (Vaswani et al. 2017): writes token after token, looking at the encoder's states."""

import torch
from torch import Tensor, nn

from steps.config.types import Fraction, PositiveInt
from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels, Transcribed, label_cross_entropy, transcribed
from steps.nnet.attention import sinusoids
from steps.nnet.output import ModelOutput, is_frame


class TransformerDecoderHead(nn.Module):
    """Embedded tokens, then layers of self-attention, attention to the encoder and feed-forward.

    Args:
        shape: Of the model.
        dim: Width of the layers.
        num_layers: Decoder layers.
        num_heads: Attention heads.
        expansion: Of the feed-forward modules.
        dropout: Behind each module.
        label_smoothing: Share of each target that is spread over all tokens.
    """

    is_framewise = False
    unit = "nats/token"

    def __init__(
        self,
        shape: HeadShape,
        *,
        dim: PositiveInt = 144,
        num_layers: PositiveInt = 2,
        num_heads: PositiveInt = 4,
        expansion: PositiveInt = 4,
        dropout: Fraction = 0.1,
        label_smoothing: Fraction = 0.1,
    ):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}")
        self.end_id = shape.blank_id
        self.label_smoothing = label_smoothing
        self.enter = nn.Linear(shape.input_dim, dim)
        self.embedding = nn.Embedding(shape.num_tokens, dim)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(dim, num_heads, dim * expansion, dropout, batch_first=True, norm_first=True)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, shape.num_tokens)

    def scores(self, encoder_out: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """(N, U, D), (N,), (N, L) -> (N, L + 1, V) logits after the start and after each token."""
        memory = self.enter(encoder_out)
        is_padding = ~is_frame(lengths.clamp(min=1), memory.size(1))
        x = self.embedding(nn.functional.pad(tokens, (1, 0), value=self.end_id))
        x = x * x.size(-1) ** 0.5 + sinusoids(x.size(1), x.size(2)).to(x)
        later = torch.ones(x.size(1), x.size(1), dtype=torch.bool, device=x.device).triu(1)
        for layer in self.layers:
            x = layer(x, memory, tgt_mask=later, memory_key_padding_mask=is_padding)
        return self.out(self.norm(x))

    def forced(self, found: Transcribed) -> Tensor:
        """(N, L + 1, V) logits after the start and after each token of the transcripts."""
        return self.scores(found.encoder_out, found.lengths, found.tokens)

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """As many as there are tokens, for the search writes at most one a frame."""
        return max(len(tokens), 1)

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Sum of the cross-entropy of tokens and ends, in nats, and their number."""
        found = transcribed(output, labels)
        if found is None:
            return output.encoder_out.sum() * 0.0, 0
        return label_cross_entropy(self.forced(found), found, self.end_id, self.label_smoothing)

    def start(self, encoder_out: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What `step` begins with, for N hypotheses."""
        return {"encoder_out": encoder_out, "lengths": lengths}

    def step(self, tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, L) tokens so far -> (N, V) log-probabilities of the next, and the new state."""
        logits = self.scores(state["encoder_out"], state["lengths"], tokens)[:, -1]
        return logits.float().log_softmax(-1), state
