"""Models as critics of transcripts that they did not learn from."""

from pathlib import Path

import torch

from steps.decoding.decode_set import check_finite
from steps.decoding.greedy import spikes
from steps.features.settings import check_features
from steps.nnet.inference import run_model
from steps.nnet.model import LoadedModel, load_model
from steps.scoring.disbelief import NO_BELIEF, Disbelief, disbelief, mean_of
from steps.scoring.score_set import check_speakers
from steps.tokens.token_table import TokenTable, read_speller
from steps.training.examples import speakers_of
from utils.data_dir.data_dir import DataDir
from utils.data_dir.tables import read_table
from utils.jobs import log
from utils.jobs.errors import UsageError


def judge_set(
    folders: list[Path], data_dir: Path, lang_dir: Path
) -> tuple[dict[str, Disbelief], dict[str, tuple[str, str]]]:
    """(what the models think of each transcript of a set, each transcript and what the last model wrote).

    Raises: UsageError for a model without a CTC head; DataError where its output is NaN.
    """
    data = DataDir.read(data_dir, "feats.scp", "utt2num_frames")
    texts = read_table(data_dir / "text", has_value=False)
    check_speakers(texts, read_table(data_dir / "utt2spk"), data_dir)
    models = {folder: load_model(folder) for folder in folders}
    judges = judges_of(models, data_dir, [utt_id for utt_id in texts if utt_id in data.tables["feats.scp"]])
    found: dict[str, list[Disbelief]] = {}
    said = {utt_id: (text, "") for utt_id, text in texts.items()}
    torch.set_num_threads(1)
    for folder, teacher in models.items():
        check_features(data_dir, teacher.config.features)
        if "ctc" not in teacher.config.heads:
            raise UsageError(f"{folder}: has no head ctc, whose posteriors are asked for")
        table = read_speller(lang_dir, teacher.tokens)
        own = [utt_id for utt_id, those in judges.items() if folder in those]
        feats_scp = {u: data.tables["feats.scp"][u] for u in own}
        num_frames = {u: int(data.tables["utt2num_frames"][u]) for u in own}
        for utt_ids, output in run_model(teacher.model, feats_scp, num_frames):
            check_finite(utt_ids, output, feats_scp)
            for row, utt_id in enumerate(utt_ids):
                log_probs = output.log_probs("ctc")[row, : int(output.lengths[row])].clone()
                one, words = judge(log_probs, texts[utt_id], table)
                said[utt_id] = (texts[utt_id], words)
                found.setdefault(utt_id, []).append(one)
    return {utt_id: mean_of(those) for utt_id, those in found.items()}, said


def judge(log_probs: torch.Tensor, text: str, table: TokenTable) -> tuple[Disbelief, str]:
    """(what a model thinks of a transcript, nothing if it cannot be spelt in its tokens or frames; what it writes)."""
    said = [token for token, _ in spikes(log_probs.argmax(-1).numpy(), blank_id=0)]
    tokens = table.encode(text)
    if not tokens or None in tokens or not len(log_probs):
        return NO_BELIEF, table.decode(said)
    return disbelief(log_probs, tokens, blank_id=0), table.decode(said)


def judges_of(models: dict[Path, LoadedModel], data_dir: Path, utt_ids: list[str]) -> dict[str, list[Path]]:
    """The models that left an utterance's speaker out of their training, or all where there is none such."""
    speakers = speakers_of(data_dir)
    left_out = {folder: set(loaded.config.left_out) for folder, loaded in models.items()}
    judges = {utt_id: [folder for folder in models if speakers[utt_id] in left_out[folder]] for utt_id in utt_ids}
    heard = sum(not those for those in judges.values())
    if heard:
        log.warn(f"{data_dir}: {heard} of {len(utt_ids)} utterances are judged by models that may know them")
    return {utt_id: those or list(models) for utt_id, those in judges.items()}
