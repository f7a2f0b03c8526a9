"""The additional step against loops written by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException

from steadyear.attacks import FGSM, Linf
from steadyear.callbacks import AdditionalStep, AdversarialTraining
from tests.callbacks import foreign_modules as foreign

ATTACK = FGSM(Linf(0.3))


def by_hand(epochs=2, every=1, window=1, clip=None, optimizer=torch.optim.Adam, lr=1e-2):
    """Ordinary step on the clean batches, then attacks, then a step on the attacked batches."""
    module = foreign.seeded(foreign.Foreign)
    optimizer = optimizer(module.parameters(), lr=lr)
    batches = list(foreign.loader())
    windows = [batches[i : i + window] for i in range(0, len(batches), window)]
    for epoch in range(epochs):
        for chosen in windows:
            # Lightning divides by the configured window, also when the last one is shorter.
            step(module, optimizer, chosen, window, clip)
            if (epoch + 1) % every == 0:
                step(module, optimizer, [attacked(module, *b) for b in chosen], len(chosen), clip)
    return module


def step(module, optimizer, batches, divisor, clip):
    optimizer.zero_grad()
    for x, y in batches:
        (F.mse_loss(module(x), y) / divisor).backward()
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimizer.step()


def attacked(module, x, y):
    point = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.mse_loss(module(point), y), point)
    return x + 0.3 * gradient.sign(), y


def with_callback(tmp_path, recipe, module=None, **settings):
    module = module or foreign.seeded(foreign.Foreign)
    foreign.trainer(tmp_path, AdversarialTraining(ATTACK, recipe), **settings).fit(
        module, foreign.loader()
    )
    return module


def assert_same(module, other, tolerance=1e-6):
    torch.testing.assert_close(
        foreign.weights(module), foreign.weights(other), atol=tolerance, rtol=0
    )


def test_equals_the_loop_by_hand(tmp_path):
    assert_same(with_callback(tmp_path, AdditionalStep(1)), by_hand())


def test_only_in_every_nth_epoch(tmp_path):
    module = with_callback(tmp_path, AdditionalStep(2), max_epochs=5)
    assert_same(module, by_hand(epochs=5, every=2))
    different = by_hand(epochs=5, every=1)
    assert (foreign.weights(module) - foreign.weights(different)).abs().max() > 1e-3


def test_one_step_for_an_accumulation_window(tmp_path):
    module = with_callback(tmp_path, AdditionalStep(1), accumulate_grad_batches=2)
    assert_same(module, by_hand(window=2))


def test_gradients_are_clipped_as_the_trainer_says(tmp_path):
    settings = {"optimizer": torch.optim.SGD, "lr": 1.0}
    module = foreign.seeded(foreign.Foreign, **settings)
    with_callback(tmp_path, AdditionalStep(1), module, gradient_clip_val=0.05)
    assert_same(module, by_hand(clip=0.05, **settings), 1e-5)
    assert (foreign.weights(module) - foreign.weights(by_hand(**settings))).abs().max() > 1e-2


def test_steps_are_not_counted_by_the_trainer(tmp_path):
    module = foreign.seeded(foreign.Foreign)
    trainer = foreign.trainer(tmp_path, AdversarialTraining(ATTACK, AdditionalStep(1)))
    trainer.fit(module, foreign.loader())
    assert trainer.global_step == 10


def test_an_interrupted_window_is_forgotten(tmp_path):
    callback = AdversarialTraining(ATTACK, AdditionalStep(1))

    class Breaks(foreign.Foreign):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            raise RuntimeError("in the middle of a window")

    trainer = foreign.trainer(tmp_path, callback, accumulate_grad_batches=2)
    with pytest.raises(RuntimeError, match="middle"):
        trainer.fit(foreign.seeded(Breaks), foreign.loader())
    module = foreign.seeded(foreign.Foreign)
    foreign.trainer(tmp_path, callback, accumulate_grad_batches=2).fit(module, foreign.loader())
    assert_same(module, by_hand(window=2))


class TwoOptimizers(foreign.Foreign):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return [torch.optim.Adam(self.net.parameters()) for _ in range(2)]


@pytest.mark.parametrize("module_class", [foreign.Manual, TwoOptimizers])
def test_manual_optimisation_is_refused(tmp_path, module_class):
    with pytest.raises(MisconfigurationException, match="manual optimisation"):
        with_callback(tmp_path, AdditionalStep(1), module_class())


def test_fp16_is_refused_before_the_first_step(tmp_path):
    module = foreign.seeded(foreign.Foreign)
    before = foreign.weights(module)
    trainer = foreign.trainer(tmp_path, AdversarialTraining(ATTACK, AdditionalStep(5)))
    trainer.precision_plugin.precision = "16-mixed"
    with pytest.raises(MisconfigurationException, match="bf16-mixed"):
        trainer.fit(module, foreign.loader())
    assert torch.equal(before, foreign.weights(module))


@pytest.mark.parametrize("every", [0, -1])
def test_impossible_epochs_are_refused(every):
    with pytest.raises(ValueError, match="at least 1"):
        AdditionalStep(every)
