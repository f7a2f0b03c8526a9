"""What makes an experiment of synthetic music small, and where it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = [
    "--trainer.max_epochs=1",
    "--data.init_args.num_clips=[8,4,6]",
    "--data.init_args.excerpt_seconds=2",
    "--model.network.init_args.width=0.05",
    "--callbacks.robustness.budgets=[0.05]",
    "--trainer.enable_model_summary=false",
    "--logger.wandb=null",
]


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Run in a folder, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("STEADYEAR_CACHE", str(folder / "cache"))
        patch.setattr("logging.raiseExceptions", False)
        yield
