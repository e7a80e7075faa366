"""What a head stands on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadShape:
    """The sizes of a model that its heads are built for.

    Attributes:
        name: Of the head in conf.toml, by which its logits are found.
        input_dim: Width of the encoder's states, D.
        num_tokens: V, blank counted.
        blank_id: The token that says nothing; it also starts and ends what attention decoders write.
        feat_dim: Features of a frame, F.
        subsampling: Frames of features that become one state.
        frame_shift_ms: Of the features.
        decoder: What came with a pre-trained encoder, for the head that is its decoder.
    """

    name: str
    input_dim: int
    num_tokens: int
    blank_id: int
    feat_dim: int = 0
    subsampling: int = 1
    frame_shift_ms: float = 10.0
    decoder: object = None
