"""GRU acoustic model: as the LSTM's, with gated recurrent units (Cho et al. 2014)."""

from torch import nn

from steps.config.types import Fraction, PositiveInt
from steps.nnet.lstm import LstmEncoder


class GruEncoder(LstmEncoder):
    """Frame stacking, then GRU layers. The settings are those of `LstmEncoder`."""

    cell = nn.GRU

    def __init__(
        self,
        input_dim: int,
        frame_shift_ms: float,
        *,
        dim: PositiveInt = 96,
        num_layers: PositiveInt = 1,
        bidirectional: bool = False,
        subsampling: PositiveInt = 4,
        layer_norm: bool = False,
        dropout: Fraction = 0.1,
    ):
        super().__init__(
            input_dim,
            frame_shift_ms,
            dim=dim,
            num_layers=num_layers,
            bidirectional=bidirectional,
            subsampling=subsampling,
            layer_norm=layer_norm,
            dropout=dropout,
        )
