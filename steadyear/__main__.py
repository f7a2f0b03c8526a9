"""Entry point of ``steadyear`` and ``python -m steadyear``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from steadyear.cli.messages import is_misfit, plain
from steadyear.foundation.extras import MissingExtraError, optional_imports
from steadyear.foundation.shipped_configs import find_shipped_in_arguments

_BAD_INPUT = (ValueError, OSError, MissingExtraError, FloatingPointError, RuntimeError)

HELP = """\
usage: steadyear COMMAND ...

Train audio models, attack them, and compare their robustness.

One run, from configuration files (all options: steadyear fit --help):
  fit --config FILE ...            train a model
  validate --config FILE ...       score and attack a trained model on the validation clips
  test --config FILE ...           score and attack a trained model on the test clips
  predict --config FILE ...        write the predictions of the test clips

Many runs:
  study FILE                       train and test every system with every seed
  compare RUN... [--out DIR]       compare tested runs: table, tests, figures, report
  transfer RUN... [--out DIR]      test the examples made on each run on all the others
  import-logs LOGS [--out DIR]     turn released attack logs into runs to compare

Data, and a first look:
  data birdset NAME --root DIR     fetch a data set of BirdSet
  demo [birds] [--out DIR]         train, attack and compare on synthetic sound

options:
  -h, --help                       show this message
  --version                        show the version
"""

# Imported when a command is chosen: PyTorch and Lightning take seconds to load.
COMMANDS = {
    "compare": "steadyear.compare.command",
    "data": "steadyear.download.command",
    "demo": "steadyear.demo",
    "import-logs": "steadyear.import_logs.command",
    "study": "steadyear.study.command",
    "transfer": "steadyear.transfer.command",
}
STAGES = ("fit", "validate", "test", "predict")


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
    if command in COMMANDS:
        import_module(COMMANDS[command]).main(words[1:])
    elif command in {"-h", "--help"}:
        print(HELP, end="")
    elif command == "--version":
        print(f"steadyear {version('steadyear')}")
    elif command.startswith("-") or command in STAGES:
        from steadyear.cli.lightning_cli import run

        run()
    else:
        known = ", ".join([*STAGES, *sorted(COMMANDS)])
        raise ValueError(f"There is no command {command!r}; there are {known}.")


def _bad_input() -> tuple[type[Exception], ...]:
    # Who has not imported Lightning cannot meet its exception, and the import takes seconds.
    module = sys.modules.get("lightning.fabric.utilities.exceptions")
    return _BAD_INPUT if module is None else (*_BAD_INPUT, module.MisconfigurationException)


if __name__ == "__main__":
    main()
