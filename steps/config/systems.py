"""What a configuration stands for: its systems and their twins, their sets, and whom they learn from."""

import dataclasses
from pathlib import Path

from steps.config.schema import Config, DataConfig, DistillConfig, FeaturesConfig, FilterConfig, SystemConfig
from steps.config.types import near
from steps.heads.registry import SELF_SUPERVISED, WITH_CTC_BESIDE, WRITING
from steps.losses.registry import KINDS
from utils.jobs.errors import UsageError

ANY_SEED = "/seed*"  # the one that is trained
ROLES = ("train", "dev", "test", "unlabelled")


def roles_of(data: DataConfig) -> list[tuple[str, str]]:
    """(set, role) of each set."""
    sets = ([data.train], [data.dev], data.test, data.unlabelled)
    return [(name, role) for role, names in zip(ROLES, sets, strict=True) for name in names]


def roles_in(system: SystemConfig) -> list[tuple[str, str]]:
    """(set, role) of each set of a system; without that it is trained on where it needs no transcripts."""
    return [pair for pair in roles_of(system.data) if pair[1] != "train" or not is_self_supervised(system)]


def all_sets(config: Config) -> dict[str, str]:
    """The role of each set that a recipe uses; the training set of [data] first.

    One that only systems without transcripts are trained on is unlabelled.
    """
    pairs = roles_of(config.data)
    for system in config.systems.values():
        pairs += [*roles_in(system), (system.data.train, "unlabelled")]
    found: dict[str, str] = {}
    for wanted in ROLES:
        for name, role in pairs:
            if role == wanted:
                found.setdefault(name, role)
    return found


def trained_sets(config: Config) -> list[str]:
    """The sets that systems are trained on, that of [data] first."""
    return list(dict.fromkeys([config.data.train, *(system.data.train for system in config.systems.values())]))


def variant_of(config: Config, set_name: str) -> str:
    """The [features.<name>] that a set called `<set>_<name>` has; empty for most."""
    return max((name for name in config.variants if set_name.endswith(f"_{name}")), key=len, default="")


def features_of(config: Config, set_name: str) -> FeaturesConfig:
    """The features of a set."""
    return config.variants.get(variant_of(config, set_name), config.features)


def twin_of(config: Config, system: SystemConfig) -> SystemConfig:
    """The same system without its distillation terms: one of the configuration, or else one built for it.

    Systems that differ in nothing else share the first one's.
    """
    for other in config.systems.values():
        if not other.distill and without_terms(other, "") == without_terms(system, ""):
            return other
    for other in config.systems.values():
        if other.distill and without_terms(other, "") == without_terms(system, ""):
            return without_terms(other, f"{other.name}_plain")
    raise ValueError(f"[{system.name}] is not distilled")


def without_terms(system: SystemConfig, name: str) -> SystemConfig:
    """A twin of this name."""
    return dataclasses.replace(system, name=name, distill=(), controls=[], tune={}, tune_plain={})


def all_systems(config: Config) -> dict[str, SystemConfig]:
    """The systems of the configuration and the twins of the distilled ones."""
    twins = [twin_of(config, system) for system in config.systems.values() if system.distill]
    return {**config.systems, **{twin.name: twin for twin in twins}}


def pairs_of(config: Config) -> list[tuple[str | None, str, str]]:
    """(teacher, student, distilled) of each comparison: with the twin first, then with the controls.

    A system without a teacher has no twin, and may have controls.
    """
    found = []
    for system in config.systems.values():
        teacher = reference_of(config, system)[0] if system.distill else None
        others = [twin_of(config, system).name] if system.distill else []
        found += [(teacher, other, system.name) for other in [*others, *system.controls]]
    return found


def reference_of(config: Config, system: SystemConfig) -> tuple[str, list[int]]:
    """(the teacher whose error rate a distilled system could reach, its seeds).

    It is the first that its terms name, of those that write something, if any does; or in a chain of teachers the one
    with which that begins.
    """
    named = [teachers_of(term) for term in system.distill]
    writing = [those for those in named if can_transcribe(config.systems[those[0][0]])]
    teachers = (writing or named)[0]
    name = teachers[0][0]
    teacher = config.systems[name]
    if teacher.distill:
        return reference_of(config, teacher)
    return name, sorted({seed for other, seed in teachers if other == name})


def set_in_place(other: SystemConfig, system: SystemConfig, set_name: str) -> str:
    """The set on which another system is compared with one that is scored on `set_name`.

    Raises: UsageError when it has none.
    """
    theirs, ours = other.data, system.data
    if set_name in (theirs.dev, *theirs.test):
        return set_name
    if set_name == ours.dev:
        return theirs.dev
    place = ours.test.index(set_name)
    if place >= len(theirs.test):
        raise UsageError(f"[{system.name}.data] test: [{other.name}] has no set in the place of '{set_name}'")
    return theirs.test[place]


def soft_label_sets(config: Config, term: DistillConfig, teacher: str) -> list[str]:
    """The sets that one of a term's teachers hears: those it names for it, its own, or what the teacher was trained on.

    A student may hear the utterances of its teacher's training set through another channel, under the same ids.
    """
    return term.teacher_sets or term.sets or [config.systems[teacher].data.train]


def system_named(config: Config, name: str) -> SystemConfig:
    """A system or a twin. Raises: UsageError naming the systems that exist."""
    systems = all_systems(config)
    origin = config.systems.get(name.removesuffix("_plain"))
    if name not in systems and origin and origin.distill:  # its twin is called after another system
        return without_terms(origin, name)
    if name not in systems:
        raise UsageError(f"no system '{name}'{near(name, systems)}")
    return systems[name]


def teachers_of(term: DistillConfig) -> list[tuple[str, int]]:
    """The systems and the seeds that a term names."""
    return [name_and_seed(text) for text in ([term.teacher] if isinstance(term.teacher, str) else term.teacher)]


def teacher_of(term: DistillConfig) -> tuple[str, int]:
    """The first of them."""
    return teachers_of(term)[0]


def generation(config: Config, name: str) -> int:
    """0 for a system or twin that learns from no other, 1 for those that learn from such ones, and so on.

    One that starts from a student comes after it.
    """
    if name not in all_systems(config):
        return 0
    system = system_named(config, name)
    taught = [teacher for term in system.distill for teacher, _ in teachers_of(term) + transcripts_for(term)]
    start = generation(config, start_of(system))
    return max([1 + generation(config, teacher) for teacher in taught] + [start + 1 if start else 0])


def has_teacher(term: DistillConfig) -> bool:
    """Whether the student learns from another system than itself."""
    return term.source in ("store", "live")


def transcripts_for(term: DistillConfig) -> list[tuple[str, int]]:
    """The teachers whose transcripts a term's filter reads, the one that it judges first."""
    return [(name, seed) for name, seed, _ in judged_by(term)]


def judged_by(term: DistillConfig) -> list[tuple[str, int, str]]:
    """The teachers of `transcripts_for`, each with the folder of its transcripts: those that the term learns from."""
    if term.filter == FilterConfig():
        return []
    other, own = term.filter.agree_with, term.target if term.kind == "transcripts" else "transcripts"
    found = [(*teacher_of(term), own)]
    return found + ([(*name_and_seed(other), "transcripts")] if other and other != "greedy" else [])


def soft_label_folder(teacher: Path, set_name: str, kind: str) -> Path:
    """Where the soft labels of a set are, below the model folder of their teacher."""
    return teacher / "soft_labels" / set_name / kind


def soft_labels_for(config: Config, term: DistillConfig) -> list[tuple[str, int, str, str]]:
    """(teacher, seed, set, folder) of all soft labels that a term reads from a store."""
    found = []
    if term.source == "store":
        found = [(name, seed, term.target) for name, seed in teachers_of(term)]
    found += judged_by(term)
    return [(name, seed, folder, kind) for name, seed, kind in found for folder in soft_label_sets(config, term, name)]


def head_for(term: DistillConfig, heads: dict[str, dict]) -> str:
    """The head of a system that a term compares, or that writes its transcripts; empty where it needs none.

    Raises: UsageError when the system lacks it.
    """
    return head_of_kind(term.kind, term.head, heads)


def head_of_kind(kind: str, name: str, heads: dict[str, dict]) -> str:
    """The head of this name, or the first, that soft labels of a kind come from; empty where they need none.

    Raises: UsageError when there is none.
    """
    types = WRITING if kind == "transcripts" else KINDS[kind]
    fitting = [head for head, table in heads.items() if table["type"] in types]
    if types and not fitting:
        raise UsageError(f"{kind} need a head of type {' or '.join(types)}")
    if name and name not in fitting:
        raise UsageError(f"head = '{name}': {kind} cannot come from it{near(name, fitting)}")
    return name or (fitting[0] if fitting else "")


def name_and_seed(text: str) -> tuple[str, int]:
    """`teacher` -> (teacher, 0), `teacher/seed1` -> (teacher, 1)"""
    name, _, seed = text.partition("/seed")
    return name, int(seed or 0)


def is_self_supervised(system: SystemConfig) -> bool:
    """Whether a system is trained without transcripts and labels, and says nothing."""
    return kinds_of_heads(system) <= set(SELF_SUPERVISED)


def can_transcribe(system: SystemConfig) -> bool:
    """Whether a system learns from transcripts, and writes them."""
    return not kinds_of_heads(system).isdisjoint(WRITING)


def writing_head(heads: dict[str, dict], asked: str) -> str:
    """The head that decodes: the one asked for, or the first that writes; empty where none does."""
    return asked or next((name for name, table in heads.items() if table["type"] in WRITING), "")


def kinds_of_heads(system: SystemConfig) -> set[str]:
    """The types of a system's heads."""
    return {table["type"] for table in system.heads.values()}


def check_decoding(config: Config) -> None:
    """Raises UsageError when [decode] asks for a head or a search that a system lacks.

    Only whole runs need it of all systems; steps.decode takes one model.
    """
    asked, is_joint = config.decode, False
    for system in all_systems(config).values():
        writing = {name: table["type"] for name, table in system.heads.items() if table["type"] in WRITING}
        name = writing_head(system.heads, asked.head)
        if writing and name not in writing:
            raise UsageError(f"decode.head = '{name}': [{system.name}] writes with {', '.join(writing)}")
        if asked.decoder == "beam" and writing.get(name) == "hmm":
            told = f"the head {name} of [{system.name}] is an hmm, with one search, 'greedy', which finds the best path"
            raise UsageError(f"decode.decoder = 'beam': {told}")
        if asked.ctc_weight and writing.get(name) in WITH_CTC_BESIDE:
            is_joint = True
            of_ctc = [table["tokens"] for table in system.heads.values() if table["type"] == "ctc"]
            if system.heads[name]["tokens"] not in of_ctc:
                told = f"beside [{system.name}.heads.{name}] there is no CTC of the same tokens"
                raise UsageError(f"decode.ctc_weight: {told}")
    if asked.ctc_weight and not is_joint:
        raise UsageError(f"decode.ctc_weight = {asked.ctc_weight:g}: no system writes with an attention decoder")


def start_of(system: SystemConfig) -> str:
    """The name of the system that a system starts from; that of no system where it starts from a folder, or nothing."""
    return system.init.model.partition("/seed")[0]


def pretrained(config: Config) -> set[str]:
    """The systems that are trained before all others: without transcripts, or for others to start from."""
    named = {start_of(s) for s in config.systems.values() if not generation(config, start_of(s))}
    named |= {features.model for features in config.variants.values() if features.type == "model"}
    return {s.name for s in config.systems.values() if s.name in named or is_self_supervised(s)}


def init_folder(config: Config, system: SystemConfig, exp_dir: Path, own_seed: int) -> Path | None:
    """The folder of the model that a system of this seed starts from, if there is one."""
    model = system.init.model
    if not model:
        return None
    if start_of(system) in config.systems:
        name, seed = (start_of(system), own_seed) if model.endswith(ANY_SEED) else name_and_seed(model)
        return exp_dir / name / f"seed{seed}"
    return Path(model)


def clean_set(data_dir: Path, heads: dict[str, dict]) -> Path | None:
    """The set whose features an autoencoder draws on hearing another, if it does.

    Raises: UsageError when the set heard has another ending.
    """
    ending = next((table["clean"] for table in heads.values() if table.get("clean")), "")
    if not ending:
        return None
    name = data_dir.name.removesuffix(ending)
    if name in ("", data_dir.name):
        raise UsageError(f"clean = '{ending}': the set '{data_dir.name}' is not called so")
    return data_dir.with_name(name)
