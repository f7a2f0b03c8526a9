"""Make examples on every system, and test them on all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from steadyear.attacks import Attack, Noise, prediction_of
from steadyear.callbacks.batches import clip_index
from steadyear.callbacks.records.metadata import metadata_of_data
from steadyear.compare.load.cells import Cell
from steadyear.foundation.task import clip_errors_of
from steadyear.lightning_modules.frontends.sharing import share_frontend
from steadyear.transfer.choice import attack_of
from steadyear.transfer.restore import RestoredRun

NOISE: Final = "noise"
# Tests may have run on another device, in another precision.
RTOL: Final = 0.02
ATOL: Final = 0.01
ClipValues = dict[str, float]


class Examples:
    """The test clips, and what is made of them.

    All systems hear the clips of the first one's data; that they are the same for every system
    follows from ``check``, not from configurations.

    Args:
        systems: The systems.
        cell: Attack and budget.
    """

    def __init__(self, systems: Sequence[RestoredRun], cell: Cell) -> None:
        self.systems = systems
        self.cell = cell
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.keys = systems[0].evaluation.keys
        for each in systems:
            each.module.to(self.device)
        data: Any = systems[0].data
        share_frontend(systems[0].module, data)
        data.prepare_data()
        data.setup("test")
        self.data = data
        self.loader = data.test_dataloader()
        self.metadata = metadata_of_data(data)
        self.clean = [self._clean(each) for each in systems]

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Input, target and index of the clips, batch by batch, the same every time.

        Raises:
            ValueError: If the data does not number its clips.
        """
        for waiting in self.loader:
            batch = self.data.on_after_batch_transfer(waiting, 0)
            x, target = self.keys.read(batch)
            index = clip_index(batch)
            if index is None:
                raise ValueError("transfer needs data whose batches hold the clips' index.")
            yield x.to(self.device), target.to(self.device), index

    def _clean(self, system: RestoredRun) -> ClipValues:
        run = system.run
        recorded = dict(zip(run.clips, run.prediction, strict=True))
        errors: ClipValues = {}
        for x, target, index in self.batches():
            prediction = predict(system, x)
            names = [self.metadata.clip(int(i)) for i in index]
            errors |= zip(names, error_of(system, prediction, target).tolist(), strict=True)
            for name, values in zip(names, prediction.cpu().numpy(), strict=True):
                if not np.allclose(values, recorded.get(name, np.nan), RTOL, ATOL):
                    raise ValueError(_not_reproduced(self.systems[0], system, name, recorded))
        if len(errors) < len(recorded):
            raise ValueError(
                f"{self.systems[0].run.folder} has {len(errors)} test clips, and {run.folder} was "
                f"tested on {len(recorded)}: test both on the same split."
            )
        return errors

    def noise(self) -> list[list[ClipValues]]:
        """Errors under noise of the same budget; none where nothing bounds the attack."""
        attack = attack_of(self.systems[0], self.cell)
        if not self.cell.bounded:
            return []
        control = Noise(attack.ball, bounds=attack.bounds, seed=attack.seed)
        return [self.attacked(self.systems[0], control)]

    def attacked(self, source: RestoredRun, attack: Attack) -> list[ClipValues]:
        """Errors of all systems on examples made on one of them.

        Args:
            source: Where the examples are made.
            attack: How.

        Returns:
            Error of each clip, for every system in order.
        """
        errors: list[ClipValues] = [{} for _ in self.systems]
        for x, target, index in self.batches():
            examples = attack(source.module, x, target, index=index).adversarial
            names = [self.metadata.clip(int(i)) for i in index]
            for found, system in zip(errors, self.systems, strict=True):
                error = error_of(system, predict(system, examples), target)
                found |= zip(names, error.tolist(), strict=True)
        return errors


def predict(system: RestoredRun, x: Tensor) -> Tensor:
    """Predictions of a system, shape (batch, ...).

    Args:
        system: The system.
        x: What it hears, shape (batch, ...).
    """
    with torch.no_grad():
        return prediction_of(system.module(x))


def error_of(system: RestoredRun, prediction: Tensor, target: Tensor) -> Tensor:
    """Error of each clip in the measure of the system, shape (batch,).

    Args:
        system: The system.
        prediction: What it predicts.
        target: True values or classes of the clips.
    """
    return clip_errors_of(system.module)(prediction, target)


def transfer(systems: Sequence[RestoredRun], cell: Cell) -> pd.DataFrame:
    """Make examples on every system, and test them on all.

    Args:
        systems: The systems, each with its seed.
        cell: Attack and budget.

    Returns:
        One row per source, target and clip, with the columns ``source``, ``source_seed``,
        ``target``, ``target_seed``, ``clip``, ``clean_error`` and ``attacked_error``. Noise has the
        source ``noise`` and no seed.

    Raises:
        ValueError: If a system does not predict what it predicted in its test.
    """
    examples = Examples(systems, cell)
    rows: list[dict[str, Any]] = []
    for errors in examples.noise():
        rows += _rows(examples, NOISE, None, errors)
    for number, source in enumerate(systems, 1):
        started = time.monotonic()
        errors = examples.attacked(source, attack_of(source, cell))
        rows += _rows(examples, source.label, source.run.seed, errors)
        took = time.monotonic() - started
        print(
            f"[{number}/{len(systems)}] {source.label}, seed {source.run.seed}: {took:.0f} s",
            flush=True,
        )
    frame = pd.DataFrame(rows)
    return frame.astype({"source_seed": "Int64", "target_seed": "Int64"})


def _rows(
    examples: Examples, source: str, seed: int | None, errors: Sequence[ClipValues]
) -> Iterator[dict[str, Any]]:
    for target, clean, attacked in zip(examples.systems, examples.clean, errors, strict=True):
        for clip in sorted(clean):
            yield {
                "source": source,
                "source_seed": seed,
                "target": target.label,
                "target_seed": target.run.seed,
                "clip": clip,
                "clean_error": clean[clip],
                "attacked_error": attacked[clip],
            }


def _not_reproduced(
    first: RestoredRun, system: RestoredRun, clip: str, recorded: dict[str, Any]
) -> str:
    if clip not in recorded:
        return (
            f"{first.run.folder} has the test clip {clip}, on which {system.run.folder} was not "
            "tested: test both on the same split."
        )
    return (
        f"{system.run.folder} no longer predicts for {clip} what its robustness.parquet says, when "
        f"it hears the clips of {first.run.folder}: the checkpoint has changed since its test, or "
        "the two do not share data and excerpts. Test both again with the same data."
    )
