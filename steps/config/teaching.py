"""Faults of who teaches whom: teachers, the sources of their soft labels, and the heads that are compared."""

from steps.config.schema import EMA_DECAY, Config, DistillConfig, FilterConfig, SystemConfig
from steps.config.systems import (
    can_transcribe,
    has_teacher,
    head_for,
    judged_by,
    name_and_seed,
    start_of,
    teachers_of,
    transcripts_for,
)
from steps.config.types import near
from utils.jobs.errors import UsageError

JOINED = {  # how soft labels of several teachers become one target
    "frame_topk": ("average", "weighted", "best", "sampled"),
    "token_topk": ("average", "weighted", "sampled"),
    "lattice": ("average", "weighted", "sampled"),
    "transcripts": ("sampled",),
    "hidden_codes": (),
}


def check_teachers(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError when a term names a teacher that is no other system, or one that cannot teach it."""
    for system in systems.values():
        for term in system.distill:
            check_source(system, term)
            written_by = [term.teacher] if isinstance(term.teacher, str) else term.teacher
            other = term.filter.agree_with
            for written in [*written_by, *([other] if other not in ("", "greedy") else [])]:
                teacher, slash, seed = written.partition("/")
                if teacher not in systems or teacher == system.name:
                    others = set(systems) - {system.name}
                    raise UsageError(f"[{system.name}] teacher = '{written}': no other system{near(teacher, others)}")
                if slash and not (seed.startswith("seed") and seed[4:].isdecimal()):
                    raise UsageError(f"[{system.name}] teacher = '{written}': write it as {teacher}/seed1")
                if written == other and name_and_seed(other) == name_and_seed(written_by[0]):
                    raise UsageError(f"[{system.name}] filter.agree_with = '{other}': is whom it judges; name another")
                if term.source == "live" and not term.sets and systems[teacher].data.train != system.data.train:
                    raise UsageError(
                        f"[{system.name}] teacher = '{written}' was not trained on '{system.data.train}' but on "
                        f"'{systems[teacher].data.train}', heard by its soft labels alone: source = \"store\""
                    )
            check_filter(system, term, systems)


def check_filter(system: SystemConfig, term: DistillConfig, systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError for a filter that has nothing to choose from, nothing to go by, or keeps nothing."""
    where = f"[{system.name}] the loss {term.loss}: filter"
    for name in [name for name, _, _ in judged_by(term) if not can_transcribe(systems[name])]:
        raise UsageError(f"{where} judges by what [{name}] writes, and it writes nothing")
    if not term.filter.keep or (term.filter.max_rate and term.filter.min_rate > term.filter.max_rate):
        raise UsageError(f"{where} keeps nothing: keep must be above 0, and max_rate above min_rate")
    hears_transcripts = system.train.labelled_every == 1 or system.train.labelled_only
    if term.filter != FilterConfig() and hears_transcripts and {*term.sets} <= {system.data.train}:
        told = f"filter chooses among utterances without a transcript, and [{system.name}] hears none"
        raise UsageError(f"[{system.name}] the loss {term.loss}: {told}; set train.labelled_every, or name their sets")


def check_chains(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError for a system that teaches itself through others."""
    taught_by = {
        s.name: {name for term in s.distill for name, _ in teachers_of(term) + transcripts_for(term)}
        | ({start_of(s)} & systems.keys())
        for s in systems.values()
    }
    for name in systems:
        above, seen = taught_by[name], set()
        while above:
            seen |= above
            above = {teacher for known in above for teacher in taught_by[known]} - seen
        if name in seen:
            raise UsageError(f"[{name}] teaches itself through {', '.join(sorted(seen - {name}))}")


def check_source(system: SystemConfig, term: DistillConfig) -> None:
    """Raises UsageError when a term's soft labels cannot come from its source, or cannot be joined."""
    where = f"[{system.name}] the loss {term.loss}"
    if term.source != "store" and term.kind == "transcripts":
        raise UsageError(f"{where}: source = '{term.source}', and transcripts come from a store alone")
    if term.source != "store" and term.loss == "codebook":
        raise UsageError(f"{where}: source = '{term.source}', and codebooks are stored")
    if term.source == "self" and term.loss != "inner_kl":
        raise UsageError(f"{where}: source = 'self' is the student's own output, from which inner_kl alone learns")
    if not has_teacher(term) and not isinstance(term.teacher, str):
        raise UsageError(f"{where}: source = '{term.source}': teacher names the one system whose gap is told")
    parts = [value for key, value in term.settings.items() if key.endswith("_weight")]
    if parts and not any(parts):
        raise UsageError(f"{where}: all of its weights are 0, so that nothing is learnt")
    if term.filter.max_difference and not term.filter.agree_with:
        raise UsageError(f"{where}: filter.max_difference needs filter.agree_with, another teacher or 'greedy'")
    if term.ema_decay != EMA_DECAY and term.source != "ema":
        raise UsageError(f"{where}: ema_decay is of source = 'ema', and source = '{term.source}'")
    if term.filter != FilterConfig() and not has_teacher(term):
        raise UsageError(f"{where}: filter judges what another system writes, and source = '{term.source}'")
    if term.teacher_sets and (term.source != "store" or len(term.teacher_sets) != max(len(term.sets), 1)):
        raise UsageError(f"{where}: teacher_sets names, of a store, a set for each that the student hears")
    if term.token_map and term.kind != "frame_topk":
        raise UsageError(f"{where}: token_map is for posteriors of frames")
    if isinstance(term.teacher, str) or len(term.teacher) < 2:
        if term.combine != "average":
            raise UsageError(f"{where}: combine = '{term.combine}' needs several teachers")
        return
    if len(set(map(name_and_seed, term.teacher))) < len(term.teacher):
        raise UsageError(f"{where}: a teacher stands there twice")
    allowed = JOINED[term.kind]
    if term.combine not in allowed:
        choices = f"set combine = {' or '.join(map(repr, allowed))}" if allowed else "write a term for each"
        raise UsageError(f"{where}: {term.kind} of several teachers cannot be joined by '{term.combine}'; {choices}")


def check_nbest(config: Config) -> None:
    """Raises UsageError for a term that learns from more hypotheses than its teachers write."""
    for system in config.systems.values():
        for term in system.distill:
            for name, _ in teachers_of(term) if term.kind == "transcripts" else ():
                decode = config.systems[name].soft_labels.decode or config.decode
                asked, written = term.settings["nbest"], decode.nbest if decode.decoder == "beam" else 1
                if asked > written:
                    told = f"nbest = {asked}, and the teacher writes {written} of each utterance"
                    remedy = f'set [{name}.soft_labels] decode = {{ decoder = "beam", nbest = {asked} }}'
                    raise UsageError(f"[{system.name}] the loss {term.loss}: {told}; {remedy}")


def check_needed_heads(systems: dict[str, SystemConfig]) -> None:
    """Raises UsageError where a loss needs a head that the system or its teacher lacks, or one of another type."""
    for system in systems.values():
        if system.train.inner_ctc_weight and "ctc" not in system.heads:
            raise UsageError(f"[{system.name}] train.inner_ctc_weight needs [{system.name}.heads.ctc]")
        for term in system.distill:
            where = f"[{system.name}] the loss {term.loss}"
            taught = [systems[name] for name, _ in teachers_of(term)] if has_teacher(term) else []
            types = {s.name: s.heads.get(head_of(term, s), {}).get("type", "") for s in [system, *taught]}
            if term.kind == "frame_topk" and len(set(types.values())) > 1:
                told = ", ".join(f"[{name}] {kind}" for name, kind in types.items())
                raise UsageError(f"{where} compares frames of different heads ({told})")
            mine = system.heads.get(head_of(term, system), {})
            if term.combine == "best" and mine.get("type") == "hmm":
                raise UsageError(f"{where}: combine = 'best' compares paths of a CTC head with transcripts")
            if term.kind == "transcripts" and mine["type"] in ("hmm", "whisper_decoder"):
                raise UsageError(f"{where}: a head of type {mine['type']} cannot learn from it")
            tables = {s.name: s.heads.get(head_of(term, s), {}) for s in [system, *taught]}
            others = [name for name, table in tables.items() if table.get("tokens")]
            if others and term.kind != "transcripts":
                told = f"the head of [{others[0]}] that it compares has tokens of its own"
                raise UsageError(f"{where}: {told}; name another one with head")
            if term.loss == "tolerant_ctc" and mine.get("type") == "hmm":
                raise UsageError(f"{where}: spikes are those of a CTC head, and states of an hmm last")


def head_of(term: DistillConfig, system: SystemConfig) -> str:
    """The head that a term compares. Raises: UsageError naming the system that lacks it."""
    try:
        return head_for(term, system.heads)
    except UsageError as e:
        raise UsageError(f"[{system.name}] {e}") from None
