"""TRADES: accuracy on clean clips, and a term that holds the attacked prediction to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from steadyear.attacks import prediction_of
from steadyear.callbacks.training.recipes.base import Adversary, Recipe, TrainingStep
from steadyear.callbacks.training.recipes.robust_terms import BernoulliKL, RobustTerm


class TRADES(Recipe):
    """The training loss on the clean batch plus ``beta`` times a robust term (Zhang et al., 2019).

    The clean prediction is the one of the module's own training step, which runs once; only the
    attacked batch costs a forward pass of its own. The term is computed in fp32.

    Args:
        term: Robust term; ``None`` stands for ``BernoulliKL()``.
        beta: Weight of the robust term.

    Raises:
        ValueError: If ``beta`` is negative.
    """

    def __init__(self, term: RobustTerm | None = None, beta: float = 1.0) -> None:
        if beta < 0:
            raise ValueError(f"The weight of a robust term is not negative, not {beta:g}.")
        self.term = term or BernoulliKL()
        self.beta = beta

    def step(self, training_step: TrainingStep, batch: Any, adversary: Adversary) -> Any:
        """Attack, train on the clean batch, and add the robust term."""
        result = adversary.craft(batch)
        with _recorded_outputs(adversary) as outputs:
            returned = training_step(batch)
        if returned is None:
            return None
        clean = prediction_of(_first_output(outputs, adversary))
        attacked = prediction_of(adversary.output(batch, result))
        with torch.autocast(clean.device.type, enabled=False):
            target = adversary.keys.read(batch)[1]
            term = self.term(attacked.float(), clean.float(), target)
        adversary.log("train/robust_term", term.detach(), batch)
        return _with_term(returned, self.beta * term)


@contextmanager
def _recorded_outputs(adversary: Adversary) -> Iterator[list[Any]]:
    outputs: list[Any] = []
    with adversary.module.register_forward_hook(lambda _m, _i, output: outputs.append(output)):
        yield outputs


def _first_output(outputs: list[Any], adversary: Adversary) -> Any:
    if not outputs:
        raise TypeError(
            f"TRADES reads the clean prediction when {type(adversary.module).__name__} calls itself "
            "in training_step, as self(x), which it did not."
        )
    return outputs[0]


def _with_term(returned: Any, extra: Tensor) -> Any:
    if isinstance(returned, Tensor):
        return returned + extra
    return {**returned, "loss": returned["loss"] + extra}
