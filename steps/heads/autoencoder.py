"""Autoencoder: features go through a narrow layer and come out again (Hinton and Salakhutdinov 2006); its denoising
form hears them with noise (Vincent et al. 2008; Lu et al. 2013)."""

import torch
from torch import Tensor, nn

from steps.config.types import NaturalFloat, NaturalInt
from steps.heads.shape import HeadShape
from steps.nnet.output import ModelOutput, is_frame


class AutoencoderHead(nn.Module):
    """From the encoder's states through a bottleneck to the features of the frames that each stands for.

    Args:
        shape: Of the model.
        bottleneck: Width of the narrow layer, whose values can serve as features; 0: none.
        noise_sd: Of the noise added to features of variance 1 in training.
        clean: Ending of the sets heard, such as "_noisy": the features to draw are those of the same utterances in
            the sets without it. Empty: those that are heard.
    """

    is_framewise = True
    unit = "squared error/frame"

    def __init__(self, shape: HeadShape, *, bottleneck: NaturalInt = 0, noise_sd: NaturalFloat = 0.0, clean: str = ""):
        super().__init__()
        self.name, self.factor = shape.name, shape.subsampling
        self.noise_sd, self.clean = noise_sd, clean
        D, width = shape.input_dim, bottleneck or shape.input_dim
        self.narrow = nn.Linear(D, bottleneck) if bottleneck else nn.Identity()
        layers = nn.GELU(), nn.Linear(width, D), nn.GELU(), nn.Linear(D, shape.feat_dim * self.factor)
        self.draw = nn.Sequential(*layers)
        self.register_buffer("mean", torch.zeros(shape.feat_dim))
        self.register_buffer("inverse_sd", torch.ones(shape.feat_dim))

    def set_cmvn(self, mean: Tensor, inverse_sd: Tensor) -> None:
        """Takes the normalisation, (F,) each, of the features to draw: clean ones come as they are."""
        self.mean.copy_(mean)
        self.inverse_sd.copy_(inverse_sd)

    def forward(self, encoder_out: Tensor) -> Tensor:
        """(B, U, D) -> (B, U, factor * F) normalised features."""
        return self.draw(self.narrow(encoder_out))

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """None: no transcript is read."""
        return 0

    def corrupt(self, feats: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> features with noise, and all frames, (B, T) bool, for all are to be drawn."""
        if self.training and self.noise_sd:
            feats = feats + self.noise_sd * torch.randn_like(feats)
        return feats, is_frame(feat_lens, feats.size(1))

    def loss(self, output: ModelOutput, labels: list[Tensor | None], update: int = 0) -> tuple[Tensor, int]:
        """Sum over frames of the mean squared error of their features, which have variance 1, and their number.

        Args:
            output: Of the model.
            labels: The clean features of each utterance, (T, F); None where those heard are meant.
            update: Unused.
        """
        wanted, frames = output.clean, output.hidden_frames  # (B, T, F), (B, T)
        if given := [i for i, x in enumerate(labels) if x is not None]:
            wanted = wanted.clone()
            for i in given:
                wanted[i, : len(labels[i])] = (labels[i].to(wanted) - self.mean) * self.inverse_sd
        error = (self.drawn(output)[:, : wanted.size(1)] - wanted).square().mean(-1)
        return error.masked_fill(~frames, 0.0).sum(), int(frames.sum())

    def drawn(self, output: ModelOutput) -> Tensor:
        """(B, U * factor, F) normalised features."""
        drawn = output.logits[self.name].float()
        return drawn.reshape(len(drawn), -1, len(self.mean))

    def features(self, output: ModelOutput, kind: str) -> Tensor:
        """(B, U, bottleneck) of the narrow layer, or (B, U * factor, F) drawn and no longer normalised."""
        if kind == "bottleneck":
            return self.narrow(output.encoder_out)
        return self.drawn(output) / self.inverse_sd + self.mean
