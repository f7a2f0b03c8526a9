"""Expectation over transformation: attacks on models that draw random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from steadyear.attacks.core.attack import Attack
from steadyear.attacks.core.query import Query
from steadyear.attacks.core.views import Model, View
from steadyear.attacks.ensembles.auto_attack import AudioAutoAttack
from steadyear.attacks.ensembles.worst_of import WorstOf
from steadyear.attacks.minimal_norm.base import MinimalNorm
from steadyear.foundation.random_streams import RandomStreams


class EOT(Attack):
    """Another attack, on the expectation over the model's own random numbers (Athalye et al., 2018).

    For models that draw random numbers in evaluation mode, too: noise as a defence, random crops
    (arXiv 1707.07397; needed against such defences: arXiv 1802.00420). Gradients, values and
    predictions that the inner attack asks for are means over several draws, so each of its queries
    counts as many times. The model draws from torch's global state, which is set from ``seed`` before and
    put back afterwards: results are reproducible, for the same batch; they depend on the batch as
    the model's numbers do. What is reported is measured on single draws.

    Args:
        attack: The attack that searches; its ball, objective, view, bounds, seed and precision are
            taken over.
        samples: Number of draws for every query, at least 1.

    Raises:
        ValueError: If there is no draw.
        TypeError: If the attack minimises a norm, or is an ensemble, which asks the model by itself.
    """

    def __init__(self, attack: Attack, samples: int = 20) -> None:
        settings = attack.settings
        settings["view"] = _SeededView(**_settings(attack.view), seed=attack.seed)
        super().__init__(attack.ball, attack.objective, **settings)
        if samples < 1:
            raise ValueError(f"EOT needs at least one draw, not {samples}.")
        if isinstance(attack, MinimalNorm | AudioAutoAttack | WorstOf):
            raise TypeError(
                f"EOT does not take {type(attack).__name__}: give an attack that spends a budget and "
                "is no ensemble, such as PGD or APGD."
            )
        self.attack = attack
        self.samples = samples

    def starts_at_clean(self) -> bool:
        """As the inner attack."""
        return self.attack.starts_at_clean()

    @property
    def clips_independent(self) -> bool:
        """The model draws for a batch: the clips of another batch would meet other numbers."""
        return False

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Let the inner attack search, with means for answers."""
        inner = self.attack.with_ball(self.ball)
        inner.objective = self.objective
        return inner.solve(query.average(self.samples), rng)


@dataclass(frozen=True)
class _SeededView(View):
    """A view under which the model's random numbers are those of a seed.

    Args:
        seed: The seed.
    """

    seed: int = 0

    @contextmanager
    def bind(self, model: Model, x: Tensor) -> Iterator[tuple[Model, Tensor]]:
        """As for every view; the global random state is another one inside."""
        # All devices, because manual_seed sets them all.
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(self.seed)
            with super().bind(model, x) as bound:
                yield bound


def _settings(view: View) -> dict[str, Any]:
    return {field.name: getattr(view, field.name) for field in fields(View)}
