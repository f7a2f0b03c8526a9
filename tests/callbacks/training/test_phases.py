"""Phases: what learns when, and what is restored."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from steadyear.callbacks import WarmPhase
from tests.callbacks import foreign_modules as foreign


class Model(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Linear(3, 4)
        self.head = nn.Linear(4, 2)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.head(self.network(batch).tanh()).square().sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # Weight decay would move frozen weights, too, if they had a gradient of zero.
        learning = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.AdamW(learning, lr=0.1, weight_decay=0.1)


class Watch(Callback):
    """Weights of both parts at the end of every epoch."""

    def __init__(self, module: Model) -> None:
        self.seen = [self.copy(module)]

    def copy(self, module: Model) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in module.named_parameters()}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(self.copy(pl_module))

    def moved(self, name: str) -> list[bool]:
        pairs = zip(self.seen, self.seen[1:], strict=False)
        return [not torch.equal(before[name], after[name]) for before, after in pairs]


def fit(phase: WarmPhase, module: Model, epochs: int = 3) -> tuple[Watch, Trainer]:
    watch = Watch(module)
    trainer = foreign.trainer(None, phase, watch, max_epochs=epochs, inference_mode=True)
    trainer.fit(module, DataLoader(torch.randn(8, 3), batch_size=4))
    return watch, trainer


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(0, [True] * 3), (1, [False, True, True]), (2, [False, False, True]), (None, [False] * 3)],
)
def test_backbone_learns_after_the_warm_phase(epochs, expected) -> None:
    module = Model()
    watch, trainer = fit(WarmPhase(epochs), module)
    assert watch.moved("network.weight") == expected
    assert watch.moved("head.weight") == [True] * 3
    assert all(p.requires_grad for p in module.parameters())
    held = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert (id(module.network.weight) in held) == (epochs is not None)


def test_any_part_can_be_frozen_and_what_was_frozen_stays() -> None:
    module = Model()
    module.network.bias.requires_grad_(False)
    watch, _ = fit(WarmPhase(1, parts=["head.bias", "network"]), module, epochs=2)
    assert watch.moved("head.bias") == [False, True]
    assert watch.moved("head.weight") == [True, True]
    assert watch.moved("network.bias") == [False, False]
    assert not module.network.bias.requires_grad


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"no part 'backbone' .* \['head', 'network'\]"):
        fit(WarmPhase(parts=["backbone"]), Model())
    with pytest.raises(ValueError, match="epochs >= 0"):
        WarmPhase(-1)
