"""Decodes the utterances of a set with a loaded model."""

from collections.abc import Callable
from functools import partial

import torch

from steps.config.schema import DecodeConfig
from steps.decoding.beam import beam_search, load_flashlight
from steps.decoding.greedy import Hypothesis, greedy
from steps.nnet.device import room_for
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel
from steps.nnet.output import ModelOutput
from utils.jobs.errors import DataError

GREEDY = DecodeConfig()


def decode_set(
    loaded: LoadedModel,
    feats_scp: dict[str, str],
    num_frames: dict[str, int],
    device: str,
    settings: DecodeConfig = GREEDY,
) -> dict[str, dict]:
    """The n-best entry of each utterance, as nbest.jsonl holds it.

    Raises: DataError when the model's output for an utterance is not finite; MachineError when there is no memory for
        one, or no package for the beam search.
    """
    decode = decoder_of(settings, loaded.model.blank_id)
    found = {}
    for utt_ids, output in run_model(loaded.model, feats_scp, num_frames, device):
        check_finite(utt_ids, output, feats_scp)
        with room_for(utt_ids, sum(num_frames[utt_id] for utt_id in utt_ids)):
            hypotheses = decode(output)
        for utt_id, nbest in zip(utt_ids, hypotheses, strict=True):
            found[utt_id] = {"utt_id": utt_id, "nbest": [to_entry(hypothesis, loaded) for hypothesis in nbest]}
    return found


def decoder_of(settings: DecodeConfig, blank_id: int) -> Callable[[ModelOutput], list[list[Hypothesis]]]:
    """What turns the output for a batch into hypotheses, the best first."""
    if settings.decoder == "greedy":
        return lambda output: [[hypothesis] for hypothesis in greedy(output, blank_id)[0]]
    load_flashlight()
    return partial(beam_search, blank_id=blank_id, settings=settings)


def check_finite(utt_ids: list[str], output: ModelOutput, feats_scp: dict[str, str]) -> None:
    """Raises DataError for the first utterance whose output has no order, because a number in it is NaN or infinite."""
    for utt_id, logits, length in zip(utt_ids, output.logits["ctc"], output.lengths.tolist(), strict=True):
        if not torch.isfinite(logits[:length]).all():
            told = f"{feats_scp[utt_id]}: utterance '{utt_id}': the model's output is not finite"
            raise DataError(f"{told}; its features or the weights are damaged, make them again with --force")


def to_entry(hypothesis: Hypothesis, loaded: LoadedModel) -> dict:
    """One hypothesis as nbest.jsonl holds it."""
    shift_s = loaded.model.frame_shift_ms / 1000
    return {
        "text": loaded.tokens.decode(hypothesis.ids),
        "score": round(hypothesis.score, 4),
        "tokens": [loaded.tokens.tokens[i] for i in hypothesis.ids],
        "start_s": [round(frame * shift_s, 3) for frame in hypothesis.frames],
    }
