"""Entry point of ``steadyear`` and ``python -m steadyear``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from steadyear.cli.messages import is_misfit, plain
from steadyear.foundation.extras import MissingExtraError, optional_imports
from steadyear.foundation.shipped_configs import find_shipped_in_arguments

_BAD_INPUT = (ValueError, OSError, MissingExtraError, FloatingPointError, RuntimeError)

EXTRA = """
Also:
    steadyear compare RUN... [--out DIR]   compare tested runs: table, tests, figures, report
    steadyear transfer RUN... [--out DIR]  test the examples made on each run on all the others
    steadyear import-logs LOGS [--out DIR] turn released attack logs into runs to compare
    steadyear study FILE                   train and test every system with every seed
    steadyear data birdset NAME --root DIR fetch a data set of BirdSet
    steadyear demo [birds] [--out DIR]     train, attack and compare on synthetic sound
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends in one message instead of a traceback.

    Args:
        args: Arguments as on the command line; ``None`` takes the real ones.
    """
    words = find_shipped_in_arguments(list(sys.argv[1:] if args is None else args))
    # Lightning starts further processes with what stands here.
    sys.argv = [sys.argv[0], *(words or ["--help"])]
    try:
        with optional_imports("This command"):
            _dispatch(words)
    except _bad_input() as problem:
        explained = not isinstance(problem, RuntimeError) or is_misfit(problem)
        if os.environ.get("STEADYEAR_DEBUG") or not explained:
            raise
        hint = "(STEADYEAR_DEBUG=1 shows the traceback)"
        sys.stderr.write(f"error: {plain(str(problem))}\n{hint}\n")
        raise SystemExit(1) from problem


def _dispatch(words: list[str]) -> None:
    command = words[0] if words else "--help"
    # Heavy imports wait until it is clear which command needs them.
    if command == "compare":
        from steadyear.compare.command import main as compare

        compare(words[1:])
    elif command == "study":
        from steadyear.study.command import main as study

        study(words[1:])
    elif command == "transfer":
        from steadyear.transfer.command import main as transfer

        transfer(words[1:])
    elif command == "data":
        from steadyear.download.command import main as data

        data(words[1:])
    elif command == "import-logs":
        from steadyear.import_logs.command import main as import_logs

        import_logs(words[1:])
    elif command == "demo":
        from steadyear.demo import main as demo

        demo(words[1:])
    else:
        from steadyear.cli.lightning_cli import run

        try:
            run()
        finally:
            if command in {"-h", "--help"}:
                print(EXTRA)


def _bad_input() -> tuple[type[Exception], ...]:
    # Who has not imported Lightning cannot meet its exception, and the import takes seconds.
    module = sys.modules.get("lightning.fabric.utilities.exceptions")
    return _BAD_INPUT if module is None else (*_BAD_INPUT, module.MisconfigurationException)


if __name__ == "__main__":
    main()
