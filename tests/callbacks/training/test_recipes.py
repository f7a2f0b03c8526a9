"""What holds for every recipe of adversarial training."""

from __future__ import annotations

import pytest
import torch

from steadyear.attacks import PGD, Linf
from steadyear.callbacks import AdversarialTraining, Recipe
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.training.recipe_rows import RECIPES

STEPS = 2


class Counting(foreign.Foreign):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def training_step(self, batch, batch_idx):
        self.calls += 1
        return super().training_step(batch, batch_idx)


def trained(tmp_path, recipe, **settings):
    module = foreign.seeded(Counting)
    training = AdversarialTraining(PGD(Linf(0.3), steps=STEPS), recipe, **settings)
    trainer = foreign.trainer(tmp_path, training)
    torch.manual_seed(1)
    trainer.fit(module, foreign.loader())
    return module, training, trainer


def test_every_recipe_has_a_row():
    known = {each for each in Recipe.__subclasses__() if each.__module__.startswith("steadyear.")}
    assert known == {type(make()) for make in RECIPES.values()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_logs_once_and_is_counted(tmp_path, name):
    module, training, trainer = trained(tmp_path, RECIPES[name]())
    again, _, _ = trained(tmp_path, RECIPES[name]())
    ordinary, idle, _ = trained(tmp_path, RECIPES[name](), warmup_epochs=99)
    assert torch.equal(foreign.weights(module), foreign.weights(again))
    assert (foreign.weights(module) - foreign.weights(ordinary)).abs().max() > 1e-4
    assert module.calls == ordinary.calls == trainer.global_step
    assert idle.attack_gradient_queries == 0
    assert training.attack_gradient_queries == trainer.max_epochs * foreign.CLIPS * STEPS
    assert "training_step" not in vars(module)


@pytest.mark.parametrize("name", RECIPES)
def test_random_numbers_and_the_order_of_the_data_stay(tmp_path, name):
    states = []
    for warmup in (0, 99):
        trained(tmp_path, RECIPES[name](), warmup_epochs=warmup)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
