"""The single-label module: its loss, its errors, its scores."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from steadyear.attacks import PGD, CrossEntropy, Linf
from steadyear.callbacks.records.clip_measures import ClipMeasures
from steadyear.lightning_modules import MultiClassModule
from tests.lightning_modules.modules.test_multilabel import Maps, Plain, Prototypes
from tests.lightning_modules.quiet_trainer import trainer

CLASSES = 4


class Clips(Dataset):
    def __init__(self, count=24):
        generator = torch.Generator().manual_seed(4)
        self.target = torch.arange(count) % CLASSES
        self.spectrogram = torch.randn(count, 1, 8, 9, generator=generator)
        self.spectrogram += self.target[:, None, None, None] * 0.7

    def __len__(self):
        return len(self.target)

    def __getitem__(self, i):
        item = {"spectrogram": self.spectrogram[i], "target": self.target[i]}
        return item | {"index": torch.tensor(i)}


@pytest.fixture
def batch():
    return next(iter(DataLoader(Clips(), batch_size=24)))


def module(head=Plain, **settings):
    torch.manual_seed(0)
    return MultiClassModule(Maps(), head, **settings)


def test_loss_is_the_cross_entropy_and_the_regularisation(batch):
    made = module(Prototypes)
    output = made(batch["spectrogram"])
    expected = F.cross_entropy(output.prediction, batch["target"])
    expected = expected + made.head.prototype_vectors.square().mean()
    assert made.loss(output, batch).item() == pytest.approx(expected.item(), rel=1e-6)
    one_hot = batch | {"target": F.one_hot(batch["target"], CLASSES)}
    assert made.loss(output, one_hot).item() == pytest.approx(expected.item(), rel=1e-6)
    each = made.clip_losses(output.prediction, batch["target"])
    alone = F.cross_entropy(output.prediction, batch["target"], reduction="none")
    torch.testing.assert_close(each, alone)
    smooth = module(loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    output = smooth(batch["spectrogram"])
    expected = F.cross_entropy(output.prediction, batch["target"], label_smoothing=0.1)
    assert torch.equal(smooth.loss(output, batch), expected)


def test_wrong_targets_name_the_setting(batch):
    made = module()
    output = made(batch["spectrogram"])
    with pytest.raises(ValueError, match=r"gives 4 classes and the data has 7.*num_classes to 7"):
        made.loss(output, batch | {"target": torch.full((24,), 6)})
    with pytest.raises(ValueError, match="exactly one class per clip"):
        made.loss(output, batch | {"target": torch.ones(24, CLASSES)})
    with pytest.raises(ValueError, match="count from 0"):
        made.loss(output, batch | {"target": torch.full((24,), -1)})


def test_training_raises_the_accuracy_and_an_attack_lowers_it(batch, tmp_path):
    made = module(optimizer=partial(torch.optim.AdamW, lr=0.03))
    run = trainer(tmp_path, max_epochs=30)
    run.fit(made, DataLoader(Clips(), batch_size=12), DataLoader(Clips(), batch_size=5))
    clean = run.callback_metrics["val/accuracy"].item()
    assert clean > 0.8
    attack = PGD(Linf(1.0), CrossEntropy(), steps=10)
    result = attack(made.eval(), batch["spectrogram"], batch["target"])
    scores = made.scores(result.output.prediction, batch["target"])
    assert scores["accuracy"] < clean - 0.3
    columns = ClipMeasures.of(made).columns(result, batch["target"], attack.objective)
    assert 1 - columns["attacked_error"].mean().item() == pytest.approx(scores["accuracy"])
