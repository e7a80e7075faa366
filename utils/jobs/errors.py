"""The exit statuses of every command, one exception class each.

Status 1 has no class: it is a bug of ours, and the only one that shows a traceback.
"""


class RetortError(Exception):
    """A fault that is reported in one line and ends the command with `status`."""

    status = 1


class UsageError(RetortError):
    """Wrong option or configuration."""

    status = 2


class DataError(RetortError):
    """Bad input data. The message names place, utterance, fault and remedy."""

    status = 3


class StaleError(RetortError):
    """An artefact that no longer matches what it was made from, or does not fit its use."""

    status = 4


class MachineError(RetortError):
    """The machine refuses: disk, memory, permission, download, set-up."""

    status = 5


class InUseError(RetortError):
    """Another run works in the same directory."""

    status = 6


class Interrupted(RetortError):
    """SIGINT or SIGTERM arrived. Running the same command again goes on."""

    status = 7


BY_STATUS = {kind.status: kind for kind in (RetortError, *RetortError.__subclasses__())}
