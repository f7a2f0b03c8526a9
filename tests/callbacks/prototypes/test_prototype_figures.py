"""Pictures of prototypes: one per clip, of what the head says."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from matplotlib.image import imread
from torch import nn
from torch.utils.data import DataLoader

from steadyear.callbacks import PrototypeFigures
from steadyear.callbacks.prototypes.figures import draw_prototypes
from steadyear.foundation.records import RecordMetadata
from steadyear.lightning_modules import AudioProtoPNetHead, ConvNeXtHead, MultiLabelModule
from tests.callbacks import foreign_modules as foreign


class Features(nn.Module):
    embedding_dim = 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 4, stride=4)

    def forward(self, x):
        return self.conv(x)


class Birds(LightningDataModule):
    target_names = ("crow", "wren", "owl")
    clip_ids = tuple(f"clip{i}.ogg" for i in range(5))

    def test_dataloader(self):
        torch.manual_seed(1)
        rows = [
            {"spectrogram": torch.randn(1, 16, 24), "target": torch.eye(3)[i % 3]}
            | {"index": torch.tensor(i)}
            for i in range(5)
        ]
        return DataLoader(rows, batch_size=2)


def module(head=AudioProtoPNetHead):
    torch.manual_seed(0)
    return MultiLabelModule(Features(), lambda dim: head(dim, 3))


def test_the_first_clips_are_drawn_across_batches(tmp_path):
    trainer = foreign.trainer(tmp_path, PrototypeFigures(clips=3, top_k=2))
    trainer.test(module(), Birds(), verbose=False)
    files = sorted((tmp_path / "prototypes").iterdir())
    assert [file.name for file in files] == [f"clip{i}.ogg.png" for i in range(3)]
    picture = imread(files[0])
    assert picture.shape[1] > 2 * picture.shape[0]
    assert picture.std() > 0.1


def test_titles_say_class_and_contribution():
    model = module().eval()
    clip = torch.randn(1, 16, 24)
    found = model.head.prototype_maps(model.embed(clip[None]), 2)
    figure = draw_prototypes(model, clip, 2, RecordMetadata(targets=Birds.target_names), "a clip")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0] == "a clip"
    for i in range(2):
        name = Birds.target_names[int(found.classes[0, i])]
        number, adds = int(found.prototypes[0, i]), float(found.contributions[0, i])
        assert titles[i + 1] == f"{name}, prototype {number}: {adds:+.2f}"


def test_a_head_without_prototypes_is_refused(tmp_path):
    trainer = foreign.trainer(tmp_path, PrototypeFigures())
    with pytest.raises(MisconfigurationException, match="head with prototypes"):
        trainer.test(module(ConvNeXtHead), Birds(), verbose=False)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one clip"):
        PrototypeFigures(clips=0)
