"""Decodes the utterances of a set with a loaded model."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from steps.config.schema import DecodeConfig
from steps.decoding.beam import beam_search, load_flashlight
from steps.decoding.greedy import Hypothesis, greedy
from steps.decoding.joint import JointHead
from steps.decoding.label_search import label_search
from steps.decoding.transducer_search import transducer_search
from steps.decoding.viterbi import viterbi_search
from steps.heads.classifier import ClassifierHead
from steps.heads.ctc import CtcHead
from steps.heads.hmm import HmmHead
from steps.heads.las import LasHead
from steps.heads.transducer import TransducerHead
from steps.heads.transformer_decoder import TransformerDecoderHead
from steps.heads.whisper_decoder import WhisperDecoderHead
from steps.nnet.device import room_for
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel, Recogniser
from steps.nnet.output import ModelOutput
from steps.tokens.token_table import TokenTable
from utils.data_dir.tables import write_table
from utils.jobs.errors import DataError, UsageError

GREEDY = DecodeConfig()


@torch.inference_mode()
def decode_set(
    loaded: LoadedModel,
    feats_scp: dict[str, str],
    num_frames: dict[str, int],
    device: str,
    settings: DecodeConfig = GREEDY,
) -> dict[str, dict]:
    """The entry of each utterance, as nbest.jsonl holds it: its hypotheses, and the probabilities of classes.

    Raises: DataError when the model's output for an utterance is not finite; MachineError when there is no memory for
        one, or no package for the beam search.
    """
    model = loaded.model
    decode = decoder_of(settings, model) if any(map(can_write, model.heads.values())) else None
    table = loaded.tokens_of(writing_head(settings, model)) if decode else loaded.tokens
    found = {}
    for utt_ids, output in run_model(loaded.model, feats_scp, num_frames, device):
        check_finite(utt_ids, output, feats_scp)
        with room_for(utt_ids, sum(num_frames[utt_id] for utt_id in utt_ids)):
            hypotheses = decode(output) if decode else []
        for utt_id, nbest in zip(utt_ids, hypotheses, strict=bool(decode)):
            found[utt_id] = {"utt_id": utt_id, "nbest": [to_entry(hypothesis, loaded, table) for hypothesis in nbest]}
        for utt_id, classes in zip(utt_ids, classes_of(output, loaded), strict=True):
            found.setdefault(utt_id, {"utt_id": utt_id}).update(classes)
    return found


def write_hypotheses(folder: Path, found: dict[str, dict]) -> dict[str, str]:
    """Writes nbest.jsonl, and text where the model writes; returns the latter."""
    texts = {utt_id: entry["nbest"][0]["text"] for utt_id, entry in found.items() if "nbest" in entry}
    if texts:
        write_table(folder / "text", texts)
    lines = [json.dumps(found[utt_id], ensure_ascii=False) + "\n" for utt_id in sorted(found, key=str.encode)]
    (folder / "nbest.jsonl").write_text("".join(lines), encoding="utf-8")
    return texts


def classes_of(output: ModelOutput, loaded: LoadedModel) -> list[dict]:
    """The probability of each class, the greatest first, by the name of the head, for each utterance of a batch."""
    found: list[dict] = [{} for _ in output.lengths]
    for name, head in loaded.model.heads.items():
        if isinstance(head, ClassifierHead):
            names = loaded.config.heads[name]["classes"]
            for entry, row in zip(found, head.scores(output).float().softmax(-1).tolist(), strict=True):
                ordered = sorted(zip(names, row, strict=True), key=lambda pair: -pair[1])
                entry.setdefault("classes", {})[name] = {c: round(p, 4) for c, p in ordered}
    return found


def can_write(head: object) -> bool:
    """Whether a head writes transcripts."""
    return isinstance(head, CtcHead | HmmHead | LasHead | TransducerHead | TransformerDecoderHead | WhisperDecoderHead)


def writing_head(settings: DecodeConfig, model: Recogniser) -> str:
    """The name of the head that decodes. Raises: UsageError when the model has no such head."""
    writing = [name for name, head in model.heads.items() if can_write(head)]
    name = settings.head or next(iter(writing), "")
    if name not in writing:
        raise UsageError(f"decode.head = '{name}': the model writes with {', '.join(writing) or 'no head'}")
    return name


def decoder_of(settings: DecodeConfig, model: Recogniser) -> Callable[[ModelOutput], list[list[Hypothesis]]]:
    """What turns the output for a batch into hypotheses, the best first.

    Raises: UsageError when the model has no such head, or its head no such search.
    """
    name = writing_head(settings, model)
    head, is_beam = model.heads[name], settings.decoder == "beam"
    sizes = (settings.beam_size, settings.nbest) if is_beam else (1, 1)
    if isinstance(head, CtcHead):
        if is_beam:
            load_flashlight()
            return partial(beam_search, blank_id=model.blank_id, settings=settings, head=name)
        return lambda output: [[hypothesis] for hypothesis in greedy(output, model.blank_id, name)[0]]
    if isinstance(head, HmmHead):
        if is_beam:
            raise UsageError("decode.decoder = 'beam': an hmm has one search, 'greedy', which finds the best path")
        return partial(viterbi_search, head=head)
    if isinstance(head, TransducerHead):
        return partial(transducer_search, head=head, beam_size=sizes[0], nbest=sizes[1])
    if settings.ctc_weight and isinstance(head, LasHead | TransformerDecoderHead):
        head = JointHead(head, ctc_beside(name, model), settings.ctc_weight)
    return partial(label_search, head=head, beam_size=sizes[0], nbest=sizes[1])


def ctc_beside(name: str, model: Recogniser) -> CtcHead:
    """The CTC head with the tokens of another head. Raises: UsageError when there is none."""
    for other, head in model.heads.items():
        if isinstance(head, CtcHead) and model.tokens_of[other] == model.tokens_of[name]:
            return head
    raise UsageError(f"decode.ctc_weight: beside the head {name} there is no CTC of the same tokens")


def check_finite(utt_ids: list[str], output: ModelOutput, feats_scp: dict[str, str]) -> None:
    """Raises DataError for the first utterance whose output has no order, because a number in it is NaN or infinite."""
    for scores in (output.encoder_out, *output.logits.values()):
        for utt_id, rows, length in zip(utt_ids, scores, output.lengths.tolist(), strict=True):
            if not rows[:length].sum(dtype=torch.float64).isfinite():  # a third of the time that each by itself takes
                told = f"{feats_scp[utt_id]}: utterance '{utt_id}': the model's output is not finite"
                raise DataError(f"{told}; its features or the weights are damaged, make them again with --force")


def text_of(hypothesis: Hypothesis, table: TokenTable) -> str:
    """What a hypothesis says, in the spelling of the recipe."""
    return table.decode(hypothesis.ids) if hypothesis.text is None else table.respell(hypothesis.text)


def to_entry(hypothesis: Hypothesis, loaded: LoadedModel, table: TokenTable) -> dict:
    """One hypothesis as nbest.jsonl holds it."""
    shift_s = loaded.model.frame_shift_ms / 1000
    found = {
        "text": text_of(hypothesis, table),
        "score": round(hypothesis.score, 4),
        "tokens": [] if hypothesis.text is not None else [table.tokens[i] for i in hypothesis.ids],
        "start_s": [round(frame * shift_s, 3) for frame in hypothesis.frames],
    }
    sure = hypothesis.confidence if found["tokens"] else None
    return found if sure is None else found | {"confidence": [round(value, 4) for value in sure]}
