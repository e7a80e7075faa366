"""Decodes the utterances of a set with a loaded model."""

from steps.decoding.greedy import Hypothesis, greedy
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel


def decode_set(
    loaded: LoadedModel, feats_scp: dict[str, str], num_frames: dict[str, int], device: str
) -> dict[str, dict]:
    """The n-best entry of each utterance, as nbest.jsonl holds it."""
    found = {}
    for utt_ids, output in run_model(loaded.model, feats_scp, num_frames, device):
        hypotheses, _ = greedy(output, loaded.model.blank_id)
        for utt_id, hypothesis in zip(utt_ids, hypotheses, strict=True):
            found[utt_id] = {"utt_id": utt_id, "nbest": [to_entry(hypothesis, loaded)]}
    return found


def to_entry(hypothesis: Hypothesis, loaded: LoadedModel) -> dict:
    """One hypothesis as nbest.jsonl holds it."""
    shift_s = loaded.model.frame_shift_ms / 1000
    return {
        "text": loaded.tokens.decode(hypothesis.ids),
        "score": round(hypothesis.score, 4),
        "tokens": [loaded.tokens.tokens[i] for i in hypothesis.ids],
        "start_s": [round(frame * shift_s, 3) for frame in hypothesis.frames],
    }
