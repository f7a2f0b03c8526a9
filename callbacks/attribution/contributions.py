"""Attribution of the damage: what each part of a model adds to the change of its predictions.

A module takes part if it has ``prediction_parts(output)``, which splits predictions into what each
input of a linear last layer adds to them, shape (batch, targets, inputs), and ``part_names``, the
inputs' names. Where the list is empty, the inputs are the output's ``embedding``; its features are
grouped by a linear probe from embeddings to concepts, so that the sum stays exact. ``None`` says
that the predictions of this module cannot be split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader

from steadyear.attacks import AttackResult, attack_mode
from steadyear.callbacks.attribution.linear_probe import LinearProbe, fit_probe
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.records.robustness_table import stacked

REMAINDER = "remainder"
"""Name of the features that the probe gives to no concept."""

TOLERANCE = 1e-5
"""Largest difference between a sum of contributions and the change of the prediction, relative to
the largest number involved where that is above one."""


@dataclass(frozen=True)
class Parts:
    """How predictions are split.

    Attributes:
        names: Names of the parts.
        groups: Part of every input of the last layer, shape (inputs,); ``None`` where every input
            is a part.
        r2: How well the probe behind the groups explains each concept, see ``LinearProbe.r2``.
    """

    names: tuple[str, ...]
    groups: Tensor | None = None
    r2: tuple[float, ...] = ()

    def contributions(self, module: LightningModule, result: AttackResult) -> Tensor:
        """Split the change of the predictions under attack, shape (batch, targets, parts).

        In double precision; over parts it sums to the attacked minus the clean prediction.
        """
        split: Any = module.prediction_parts
        attacked, clean = (split(output) for output in (result.output, result.clean_output))
        change: Tensor = attacked.detach().cpu().double() - clean.detach().cpu().double()
        if self.groups is not None:
            change = change @ F.one_hot(self.groups, len(self.names)).double()
        return change


def find_parts(trainer: Trainer, module: LightningModule, keys: BatchKeys) -> Parts | None:
    """Find out how the predictions of a module are split.

    Features without names are grouped by a probe on the clean training clips, at a test only. Model,
    samplers and random numbers stay as they are, and every process gets the groups of the first.
    ``None``, with a line in the log, where there are no parts.
    """
    names: Sequence[str] | None = getattr(module, "part_names", None)
    if names is None:
        return None
    if names:
        return Parts(tuple(names))
    return _probed(trainer, module, keys) if trainer.testing else None


def _probed(trainer: Trainer, module: LightningModule, keys: BatchKeys) -> Parts | None:
    data = getattr(trainer, "datamodule", None)
    names = list(getattr(data, "concept_names", ()))
    probe: LinearProbe | None = None
    problem = "the data names no concepts"
    if names:
        with isolate_rng():
            # Caught in here, because isolate_rng restores nothing after an error.
            try:
                features, concepts = _training_clips(data, module, keys)
                _check_width(concepts, names)
                probe = fit_probe(features, concepts)
            except Exception as error:  # noqa: BLE001 - foreign data must not cost the evaluation
                problem = f"training clips cannot be read ({type(error).__name__}: {error})"
    # Another process may have another order of summation, or a problem of its own.
    probe = trainer.strategy.broadcast(probe)
    if probe is None:
        rank_zero_info(f"No contributions to the change of predictions: {problem}.")
        return None
    groups = probe.groups()
    _report(probe, groups, names)
    return Parts((*names, REMAINDER), groups, tuple(probe.r2.tolist()))


def _training_clips(data: Any, module: LightningModule, keys: BatchKeys) -> tuple[Tensor, Tensor]:
    loader = data.train_dataloader()
    # In order, whole and without workers: the sampler of training is not touched.
    clips = DataLoader(loader.dataset, loader.batch_size, collate_fn=loader.collate_fn)
    features, concepts = [], []
    with attack_mode(module, module.device), torch.no_grad():
        for batch in clips:
            concepts.append(batch["concepts"])
            x, _ = keys.read(batch)
            features.append(module(x.to(module.device)).embedding.cpu())
    return torch.cat(features), torch.cat(concepts)


def _check_width(concepts: Tensor, names: Sequence[str]) -> None:
    if concepts.shape[1] != len(names):
        raise ValueError(f"{concepts.shape[1]} concepts in a batch, {len(names)} names")


def _report(probe: LinearProbe, groups: Tensor, names: Sequence[str]) -> None:
    sizes = torch.bincount(groups, minlength=len(names) + 1).tolist()
    found = zip(names, probe.r2.tolist(), sizes, strict=False)
    listed = ", ".join(f"{name} {r2:.2f} ({size})" for name, r2, size in found)
    rank_zero_info(
        "Linear probe from the embedding of training clips to the concepts, leave-one-out R2 and "
        f"features of each concept: {listed}; {REMAINDER} ({sizes[-1]})."
    )


def checked(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without contributions, and a warning, where a sum is not the change of a prediction."""
    if "contributions" not in frame:
        return frame
    clean, attacked = (stacked(frame, f"{state}_prediction") for state in ("clean", "attacked"))
    parts = stacked(frame, "contributions").reshape(*clean.shape, -1)
    scale = torch.stack([parts.abs().sum(2), clean.abs(), attacked.abs()]).amax(0).clamp_min(1)
    departure = (parts.sum(2) - (attacked - clean)).abs() / scale
    if (departure <= TOLERANCE).all():
        return frame
    rank_zero_warn(
        "The contributions are left out: they miss the change of the predictions by up to "
        f"{float(departure.max()):.1g}. Reduced precision of weights or matrix products does that; "
        "test with trainer.precision 32-true."
    )
    return frame.drop(columns="contributions")


def average_contributions(
    frame: pd.DataFrame, targets: Sequence[str], parts: Sequence[str]
) -> pd.DataFrame:
    """Average contributions over clips: one row per attack, budget, target and part.

    ``mean_size`` is the mean of the absolute value.
    """
    rows = []
    for (attack, budget), group in frame.groupby(["attack", "budget"], sort=False):
        values = stacked(group, "contributions").reshape(len(group), -1, len(parts))
        labels = targets if len(targets) == values.shape[1] else range(values.shape[1])
        means, sizes = values.mean(0).tolist(), values.abs().mean(0).tolist()
        rows += [
            (attack, budget, str(target), part, means[row][place], sizes[row][place])
            for row, target in enumerate(labels)
            for place, part in enumerate(parts)
        ]
    return pd.DataFrame(rows, columns=["attack", "budget", "target", "part", "mean", "mean_size"])
