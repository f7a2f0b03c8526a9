"""What each of two processes does; ``test_two_processes.py`` starts them and reads the results.

Run as ``two_processes.py FOLDER`` with the environment of a Lightning process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from steadyear.attacks import FGSM, PGD, Linf, Noise
from steadyear.callbacks import AdditionalStep, AdversarialTraining, RobustnessEvaluation
from steadyear.lightning_modules import A2M2E, RegressionModule
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.training.recipe_rows import RECIPES

SETTINGS: dict[str, dict[str, Any]] = {
    "": {},
    "-accumulate": {"accumulate_grad_batches": 2},
    "-bf16": {"precision": "bf16-mixed"},
}
CASES = {
    f"{name}{suffix}": (make, settings)
    for name, make in RECIPES.items()
    for suffix, settings in SETTINGS.items()
}


class Rated(Dataset[dict[str, torch.Tensor]]):
    """Small spectrograms with targets, concepts and index."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.spectrogram = torch.randn(foreign.TEST_CLIPS, 1, 2, 3, generator=generator)
        self.target = torch.randn(foreign.TEST_CLIPS, 2, generator=generator)
        self.concepts = torch.randn(foreign.TEST_CLIPS, 7, generator=generator)

    def __len__(self) -> int:
        return foreign.TEST_CLIPS

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {
            "spectrogram": self.spectrogram[i],
            "target": self.target[i],
            "concepts": self.concepts[i],
            "index": torch.tensor(i),
        }


class Embed(nn.Sequential):
    embedding_dim = 6

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Tanh())


def regression() -> RegressionModule:
    torch.manual_seed(5)
    return RegressionModule(Embed(), lambda dim: A2M2E(dim, 2), concept_weight=0.5)


def evaluation() -> RobustnessEvaluation:
    attacks = {"noise": Noise(Linf()), "pgd": PGD(Linf(), steps=2)}
    return RobustnessEvaluation(attacks, [0.1, 0.3])


def evaluate(folder: Path, module: Any, loader: DataLoader[Any], **settings: Any) -> Trainer:
    trainer = foreign.trainer(folder, evaluation(), **settings)
    trainer.test(module, loader, verbose=False)
    return trainer


def sgd_steps(folder: Path, loader: DataLoader[Any], **settings: Any) -> torch.Tensor:
    module = foreign.seeded(foreign.Foreign, torch.optim.SGD, 0.3)
    training = AdversarialTraining(FGSM(Linf(0.3)), AdditionalStep(1))
    trainer = foreign.trainer(folder, training, max_epochs=1, **settings)
    trainer.fit(module, loader)
    return foreign.weights(module)


def main(folder: Path) -> None:
    two = {"devices": 2, "strategy": "ddp"}
    found: dict[str, Any] = {}
    for name, (recipe, settings) in CASES.items():
        module = foreign.seeded(foreign.Foreign)
        training = AdversarialTraining(PGD(Linf(0.3), steps=2), recipe())
        trainer = foreign.trainer(folder, training, **two, **settings)
        trainer.fit(module, foreign.loader(40, 4))
        found[name] = foreign.weights(module)
    # Lightning's own sampler would shuffle.
    data = foreign.loader(32).dataset
    sampler = DistributedSampler(data, 2, int(os.environ["LOCAL_RANK"]), shuffle=False)
    share = DataLoader(data, batch_size=4, sampler=sampler)
    found["sgd"] = sgd_steps(folder, share, use_distributed_sampler=False, **two)
    evaluate(folder / "foreign", foreign.seeded(foreign.Foreign), foreign.loader(33, 4), **two)
    trainer = evaluate(folder / "ours", regression(), DataLoader(Rated(), batch_size=4), **two)
    found["metrics"] = {name: value.item() for name, value in trainer.callback_metrics.items()}
    torch.save(found, folder / f"rank{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
