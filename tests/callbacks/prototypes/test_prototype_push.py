"""Prototype push: against a search by hand, and at the right moment of a training."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from steadyear.callbacks import PrototypePush
from steadyear.callbacks.prototypes.push import push_prototypes
from steadyear.lightning_modules import A2E, AudioProtoPNetHead, MultiLabelModule
from tests.callbacks import foreign_modules as foreign

CLASSES, PER_CLASS, CHANNELS = 3, 2, 6


class Channels(nn.Module):
    """Gives its input as the map, so that patches are known."""

    embedding_dim = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(1, CHANNELS, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.mix(x))


class Birds(LightningDataModule):
    """Six clips; no clip has the last class."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.spectrogram = torch.randn(6, 1, 3, 4, generator=generator)
        self.target = torch.tensor(
            [[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]]
        )

    def loader(self, batch_size: int) -> DataLoader:
        rows = [
            {"spectrogram": x, "target": y, "index": torch.tensor(i)}
            for i, (x, y) in enumerate(zip(self.spectrogram, self.target, strict=True))
        ]
        return DataLoader(rows, batch_size=batch_size)

    def train_dataloader(self) -> DataLoader:
        return self.loader(3)

    def val_dataloader(self) -> DataLoader:
        return self.loader(6)


def model() -> MultiLabelModule:
    torch.manual_seed(1)
    return MultiLabelModule(
        Channels(), lambda dim: AudioProtoPNetHead(dim, CLASSES, PER_CLASS, init="normal")
    )


@torch.no_grad()
def by_hand(module: MultiLabelModule, birds: Birds) -> Tensor:
    """The patch with the largest cosine for each prototype, by loops over clips and places."""
    module.eval()
    maps = module.head.upsample(module.network(birds.spectrogram)).flatten(2)
    vectors = module.head.prototype_vectors.flatten(1).clone()
    for i, prototype in enumerate(vectors.clone()):
        best = -2.0
        for clip in range(6):
            for place in range(maps.shape[2] if birds.target[clip, i // PER_CLASS] else 0):
                patch = maps[clip, :, place]
                # The constant channels and lengths of the formula, in their order of size.
                similarity = float(
                    (patch @ prototype + 2e-8) / (patch.square().sum() + 2e-8 + 1e-4).sqrt()
                )
                if similarity > best:
                    best, vectors[i] = similarity, patch
    module.train()
    return vectors


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_push_equals_a_search_by_hand(batch_size: int) -> None:
    module, birds = model(), Birds()
    before = module.head.prototype_vectors.detach().clone().flatten(1)
    expected = by_hand(module, birds)
    assert push_prototypes(module, birds.loader(batch_size)) == 4
    pushed = module.head.prototype_vectors.detach().flatten(1)
    torch.testing.assert_close(pushed, expected)
    assert torch.equal(pushed[4:], before[4:])
    assert not torch.isclose(pushed[:4], before[:4]).all(1).any()
    assert module.training
    assert module.network.drop.training


def test_a_pushed_prototype_is_found_again() -> None:
    module, birds = model(), Birds()
    push_prototypes(module, birds.loader(2))
    module.eval()
    with torch.no_grad():
        activations = module(birds.spectrogram).prototype_activations
    assert (activations.amax(0)[:4] > 0.97).all()


class AtValidation(Callback):
    """Similarity of the best prototype when each validation starts."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def on_validation_start(self, trainer: Trainer, pl_module: MultiLabelModule) -> None:
        if trainer.sanity_checking:
            return
        with torch.no_grad():
            pl_module.eval()
            found = pl_module.head.matches(
                pl_module.network(Birds().spectrogram), Birds().target
            ).similarities
            pl_module.train()
        self.seen.append(bool((found > 0.98).all()))


def fit(callbacks: list[Callback], module: MultiLabelModule, epochs: int) -> None:
    trainer = foreign.trainer(None, *callbacks, max_epochs=epochs, inference_mode=True)
    trainer.fit(module, datamodule=Birds())


def test_pushed_before_the_validation_of_chosen_epochs() -> None:
    watch = AtValidation()
    fit([PrototypePush([1]), watch], model(), 3)
    assert watch.seen[:2] == [False, True]


def test_data_without_augmentation_is_preferred(monkeypatch) -> None:
    asked = []

    def plain(birds: Birds) -> DataLoader:
        asked.append(birds)
        return birds.loader(6)

    monkeypatch.setattr(Birds, "push_dataloader", plain, raising=False)
    fit([PrototypePush([0])], model(), 1)
    assert len(asked) == 1


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="has A2E: use AudioProtoPNetHead"):
        fit([PrototypePush([0])], MultiLabelModule(Channels(), lambda dim: A2E(dim, 3)), 1)
    with pytest.raises(ValueError, match="epochs from 0"):
        PrototypePush([])
