"""The ``bench`` command.

This file imports nothing on its own: :func:`main` first decides what Ctrl-C does. Python's own
handler would print a traceback out of any import, and abort the process out of torch's.
"""

from typing import NoReturn


def main() -> NoReturn:
    """Run the command line as a process of its own."""
    import signal

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # ignored, as in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends the process, without a word
    from bench.cli import program

    program.main()
