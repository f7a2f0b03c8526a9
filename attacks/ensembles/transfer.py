"""Transfer: found on one model, measured on another."""

from __future__ import annotations

from torch import Tensor, nn

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.foundation.random_streams import RandomStreams


class Transfer(Attack):
    """Another attack on a source model, whose result is tested on the model under attack.

    The source is attacked against the same target; without one, against what the attacked model says
    of the clean clips. Nothing is asked of the attacked model, so no query is counted. This is for use
    as a library: models do not stand in configurations, and ``steadyear transfer`` does the same
    with the checkpoints of runs.

    Args:
        source: The model that gradients come from, on the device of the clips. It takes the same
            input and gives predictions of the same form.
        attack: The attack that searches; its ball, objective, view, bounds and seed are taken over.

    Raises:
        ValueError: If the attack perturbs a submodule or a domain, which belong to one model.
        TypeError: If the attack minimises a norm: just beyond the source's boundary says nothing of
            another model's.
    """

    def __init__(self, source: nn.Module, attack: Attack) -> None:
        super().__init__(attack.ball, attack.objective, **attack.settings)
        if not attack.view.at_input:
            raise ValueError(
                f"Transfer perturbs the input of both models, not '{attack.view.place}' of one."
            )
        if isinstance(attack, MinimalNorm):
            raise TypeError(
                f"Transfer does not take {type(attack).__name__}, which stops just beyond the "
                "boundary of the source: give an attack that spends its budget, such as PGD."
            )
        self.source = source
        self.attack = attack

    @property
    def copies(self) -> int:
        """As the attack on the source."""
        return self.attack.copies

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Attack the source."""
        # Only the ball: an observer of the objective wants to see the model under attack.
        inner = self.attack.with_ball(self.ball)
        result = inner(
            self.source,
            query.x,
            query.target,
            index=rng.index,
            generator=rng.generator,
            start=query.start,
        )
        return result.perturbation
