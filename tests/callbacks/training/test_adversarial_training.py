"""Adversarial training of foreign modules: what it changes, and what it must not."""

from __future__ import annotations

import signal

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader

from steadyear.attacks import FGSM, PGD, Linf, View
from steadyear.callbacks import (
    AdditionalStep,
    AdversarialTraining,
    BatchKeys,
    Madry,
    RobustnessEvaluation,
)
from tests.callbacks import foreign_modules as foreign

KEYS = BatchKeys("sound", "rating")
MODULES = {
    "tuple": (foreign.Foreign, foreign.loader, None),
    "mapping": (
        foreign.WithMapping,
        lambda clips: DataLoader(foreign.Mapped(("sound", "rating"), clips), batch_size=8),
        KEYS,
    ),
    "without batch_idx": (foreign.WithoutBatchIdx, foreign.loader, None),
}
SETTINGS = {
    "plain": {},
    "accumulate": {"accumulate_grad_batches": 2},
    "bf16": {"precision": "bf16-mixed"},
}


def train(tmp_path, module, *callbacks, loader=None, **settings):
    trainer = foreign.trainer(tmp_path, *callbacks, **settings)
    torch.manual_seed(1)
    trainer.fit(module, loader or foreign.loader())
    return trainer


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("recipe", [Madry(), AdditionalStep(1)], ids=["madry", "additional"])
@pytest.mark.parametrize("kind", MODULES)
def test_foreign_module_trains_and_is_evaluated_unchanged(tmp_path, kind, recipe, setting):
    module_class, loader, keys = MODULES[kind]
    ordinary = foreign.seeded(module_class)
    train(tmp_path, ordinary, loader=loader(34), **SETTINGS[setting])
    module = foreign.seeded(module_class)
    training = AdversarialTraining(PGD(Linf(0.3), steps=2), recipe, keys)
    evaluation = RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1], keys)
    trainer = train(tmp_path, module, training, evaluation, loader=loader(34), **SETTINGS[setting])
    assert torch.isfinite(foreign.weights(module)).all()
    assert (foreign.weights(module) - foreign.weights(ordinary)).abs().max() > 1e-4

    trainer.test(module, loader(33), verbose=False)
    table = pd.read_parquet(tmp_path / "robustness.parquet")
    assert table["index"].tolist() == list(range(33))
    assert table["attacked_error"].mean() > table["clean_error"].mean()


def test_madry_equals_a_hand_written_loop(tmp_path):
    attack = FGSM(Linf(0.3))
    module, byhand = foreign.seeded(foreign.Foreign), foreign.seeded(foreign.Foreign)
    train(tmp_path, module, AdversarialTraining(attack))
    optimizer = torch.optim.Adam(byhand.parameters(), lr=1e-2)
    for _ in range(2):
        for x, y in foreign.loader():
            point = x.clone().requires_grad_()
            loss = F.mse_loss(byhand(point), y)
            (gradient,) = torch.autograd.grad(loss, point)
            optimizer.zero_grad()
            F.mse_loss(byhand(x + 0.3 * gradient.sign()), y).backward()
            optimizer.step()
    torch.testing.assert_close(foreign.weights(module), foreign.weights(byhand), atol=1e-6, rtol=0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_without_budget_training_is_exactly_ordinary(tmp_path, accumulate):
    loader = foreign.loader(shuffle=True)
    settings = {"loader": loader, "accumulate_grad_batches": accumulate}
    ordinary, module = foreign.seeded(foreign.Noisy), foreign.seeded(foreign.Noisy)
    first = train(tmp_path, ordinary, **settings)
    second = train(tmp_path, module, AdversarialTraining(PGD(Linf(0.0), steps=2)), **settings)
    assert torch.equal(torch.cat(ordinary.seen), torch.cat(module.seen))
    for name, value in ordinary.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
    assert first.callback_metrics == second.callback_metrics


def test_step_runs_once_per_batch_and_logs_once(tmp_path):
    module = foreign.seeded(foreign.Noisy)
    trainer = train(
        tmp_path,
        module,
        AdversarialTraining(PGD(Linf(0.3), steps=3, restarts=2)),
        loader=foreign.loader(shuffle=True),
        max_epochs=1,
    )
    assert [size for size, _ in module.losses] == [8, 8, 8, 8, 2]
    expected = sum(size * loss for size, loss in module.losses) / foreign.CLIPS
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-6)
    assert module.net[1].num_batches_tracked == 5


def test_attack_does_not_disturb_the_data_order(tmp_path):
    seen = []
    for callbacks in ([], [AdversarialTraining(PGD(Linf(0.3), steps=2))]):
        module = foreign.seeded(foreign.Noisy)
        train(tmp_path, module, *callbacks, loader=foreign.loader(shuffle=True))
        seen.append(torch.cat(module.seen))
    assert torch.equal(*seen)
    assert not torch.equal(seen[0][: foreign.CLIPS], seen[0][foreign.CLIPS :])


def test_random_starts_are_keyed_by_seed_epoch_and_batch(tmp_path):
    def starts(seed):
        found = []

        class Keep(Madry):
            def step(self, training_step, batch, adversary):
                found.append(torch.rand(1, generator=adversary.generator).item())
                return super().step(training_step, batch, adversary)

        attack = PGD(Linf(0.1), steps=1)
        train(
            tmp_path,
            foreign.seeded(foreign.Foreign),
            AdversarialTraining(attack, Keep(), seed=seed),
        )
        return found

    assert len(set(starts(0))) == 10
    assert starts(0) == starts(0)
    assert not set(starts(0)) & set(starts(1))


def test_warmup_epochs_are_ordinary(tmp_path):
    ordinary, warm = foreign.seeded(foreign.Noisy), foreign.seeded(foreign.Noisy)
    callback = AdversarialTraining(FGSM(Linf(0.5)), warmup_epochs=1)
    train(tmp_path, ordinary, max_epochs=1)
    train(tmp_path, warm, callback, max_epochs=1)
    assert torch.equal(foreign.weights(ordinary), foreign.weights(warm))
    train(tmp_path, ordinary, max_epochs=2)
    train(tmp_path, warm, callback, max_epochs=2)
    assert not torch.equal(foreign.weights(ordinary), foreign.weights(warm))


class Fail(Callback):
    """Raises inside the attack of the second batch."""

    def __init__(self, module, error):
        self.module, self.error, self.armed = module, error, False

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.armed = batch_idx == 1
        if batch_idx == 0:
            self.handle = self.module.net.register_forward_hook(self.hook)

    def hook(self, module, inputs, output):
        if self.armed and not module.training:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=repr)
def test_after_an_exception_the_module_is_as_before(tmp_path, error):
    module = foreign.seeded(foreign.Noisy)
    fail, callback = Fail(module, error), AdversarialTraining(PGD(Linf(0.1), steps=2))
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises((RuntimeError, SystemExit)):
            train(tmp_path, module, callback, fail)
    finally:
        signal.signal(signal.SIGINT, handler)
        fail.handle.remove()
    assert "training_step" not in vars(module)
    assert all(part.training for part in module.modules())
    assert all(p.requires_grad for p in module.parameters())

    module.losses.clear()
    train(tmp_path, module, callback, max_epochs=1)
    assert len(module.losses) == 5
    assert "training_step" not in vars(module)


def test_wrapped_in_fit_only(tmp_path):
    found = {}

    class Look(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            found["fit"] = "training_step" in vars(pl_module)

        def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
            found.setdefault("validate", "training_step" in vars(pl_module))

        def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
            found["test"] = "training_step" in vars(pl_module)

    module = foreign.seeded(foreign.Foreign)
    trainer = foreign.trainer(tmp_path, AdversarialTraining(FGSM(Linf(0.1))), Look())
    trainer.validate(module, foreign.loader(), verbose=False)
    trainer.test(module, foreign.loader(), verbose=False)
    trainer.fit(module, foreign.loader())
    assert found == {"fit": True, "validate": False, "test": False}
    assert "training_step" not in vars(module)


def test_two_adversarial_trainings_are_refused(tmp_path):
    module = foreign.seeded(foreign.Foreign)
    pair = [AdversarialTraining(FGSM(Linf(0.1))) for _ in range(2)]
    with pytest.raises(MisconfigurationException, match="one AdversarialTraining"):
        train(tmp_path, module, *pair)


def test_madry_trains_under_manual_optimisation(tmp_path):
    ordinary, module = foreign.seeded(foreign.Manual), foreign.seeded(foreign.Manual)
    train(tmp_path, ordinary)
    train(tmp_path, module, AdversarialTraining(FGSM(Linf(0.3))))
    assert (foreign.weights(module) - foreign.weights(ordinary)).abs().max() > 1e-4


class Waveforms(foreign.Foreign):
    """Has a fixed first stage, where a perturbation of its output enters."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.frontend = nn.Linear(6, 5)
        self.frontend.requires_grad_(False)
        self.body = nn.Sequential(nn.BatchNorm1d(5), nn.Dropout(dropout), nn.Linear(5, 2))
        self.entered: list[torch.Tensor] = []
        self.body.register_forward_pre_hook(lambda _m, inputs: self.note(inputs[0]))

    def note(self, value):
        if self.training:
            self.entered.append(value.detach().clone())

    def forward(self, x):
        return self.body(self.frontend(x))


def test_perturbation_of_an_inner_stage_reaches_the_training_step(tmp_path):
    attack = FGSM(Linf(0.25), view=View(perturb_at="frontend"))
    module = foreign.seeded(Waveforms)
    train(tmp_path, module, AdversarialTraining(attack), max_epochs=1)
    assert len(module.entered) == 5
    with torch.no_grad():
        for (x, _), entered in zip(foreign.loader(), module.entered, strict=True):
            change = (entered - module.frontend(x)).abs()
            torch.testing.assert_close(change, torch.full_like(change, 0.25), atol=1e-5, rtol=0)


def test_additional_step_at_an_inner_stage_sees_each_batch_once(tmp_path):
    attack = FGSM(Linf(0.25), view=View(perturb_at="frontend"))
    module = foreign.seeded(Waveforms)
    train(tmp_path, module, AdversarialTraining(attack, AdditionalStep(1)), max_epochs=1)
    assert len(module.entered) == 10
    assert module.body[0].num_batches_tracked == 10
