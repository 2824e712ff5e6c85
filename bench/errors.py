"""The one exception a user sees."""


class BenchError(Exception):
    """A mistake the user can fix: one line with what is wrong, where, and what to type instead.

    The command line prints it without a traceback and exits with ``exit_status``.
    """

    exit_status = 2


class PrunedError(Exception):
    """Who watches a run ends it: the rest is not worth its time."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
