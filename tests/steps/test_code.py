"""Which files a system's weights depend on."""

import pytest

from steps.config.code import parts_of
from tests.support import ROOT


@pytest.mark.parametrize(
    ("file", "needed"),
    [
        ("nnet/gru.py", {"gru.py", "lstm.py", "subsampling.py"}),
        ("nnet/ebranchformer.py", {"ebranchformer.py", "conformer.py", "attention.py", "convolution.py", "stacked.py"}),
        ("losses/decoupled_kl.py", {"decoupled_kl.py", "frame_kl.py"}),
        ("heads/las.py", {"las.py", "transcripts.py"}),
        ("losses/frame_kl.py", {"frame_kl.py", "targets.py"}),
    ],
)
def test_a_file_stands_for_all_layers_and_losses_that_it_uses(file, needed):
    found = {path.name for path in parts_of(ROOT / "steps" / file)}
    assert needed <= found and not found & {"registry.py", "model.py"}
