"""Which clips a search still has to look at."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.core.query import Query
from steadyear.attacks.signal.sizes import keep_worse

_EVERY = 4  # steps between two checks of which clips are left, for a check waits for the device
_FLAT = 1e-3  # growth of an objective, in shares of it, that is none


class ActiveSet:
    """Clips leave a search when the attack has reached its aim there, or its objective rises no more.

    Args:
        query: What is attacked.
        until_success: Whether they leave with success.
        patience: Number of steps in which a clip's objective has to grow by 0.1 %, or the clip
            leaves; ``None`` for no such limit.
    """

    def __init__(
        self, query: Query, until_success: bool = False, patience: int | None = None
    ) -> None:
        self.query, self.until_success, self.patience = query, until_success, patience
        device = query.x.device
        self.hit = torch.zeros(len(query.x), dtype=torch.bool, device=device)
        self.flat = torch.zeros_like(self.hit)
        self.before: Tensor | None = None
        self.clips: Tensor | None = None
        """Positions of the clips that are left; ``None`` stands for all."""

    @property
    def chosen(self) -> Tensor | slice:
        """The same as an index."""
        return slice(None) if self.clips is None else self.clips

    def look(self, step: int, most: Tensor) -> bool:
        """Let clips go, every few steps; whether anyone is left.

        Args:
            step: Number of the step, from 0.
            most: Largest objective of every clip so far, shape (batch,).
        """
        if step == 0 or not self.query.clips_independent:
            return True
        looks = self.until_success and step % _EVERY == 0
        if self.patience is not None and step % self.patience == 0:
            if self.before is not None:
                self.flat |= most - self.before <= _FLAT * self.before.abs()
            self.before = most.clone()
            looks = True
        if looks:
            number = self.query.copies
            # A clip is left alone at all its starts when one of them has reached the aim.
            done = self.hit.reshape(number, -1).any(0).repeat(number)
            left = (~(done | self.flat)).nonzero()[:, 0]
            # The same positions stay the same tensor: what balls know of the clips stays valid.
            if len(left) < (len(done) if self.clips is None else len(self.clips)):
                self.clips = left
        return self.clips is None or len(self.clips) > 0

    def worth(self, value: Tensor, prediction: Tensor) -> Tensor:
        """How much a point is worth: infinite with success, if clips leave with it.

        Args:
            value: Objective of the clips that are left, shape (clips,).
            prediction: What the view read of them.
        """
        if not self.until_success:
            return value
        query, chosen = self.query, self.chosen
        clean, target = query.clean_prediction[chosen], query.target[chosen]
        reached = query.objective.success(prediction, clean, target)
        self.hit[chosen] |= reached
        return torch.where(reached, torch.inf, value)

    def judged(self, best: Tensor, value: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """The worst perturbation of each clip and its worth, the last points considered.

        Args:
            best: Worst perturbation of every clip so far, shape (batch, ...).
            value: Its worth, shape (batch,).
            last: Last points of the clips that are left; they need no gradient.
        """
        some, (seen, prediction) = self.chosen, self.query.evaluate(last, self.clips)
        worth = self.worth(seen, prediction)
        best[some], value[some] = keep_worse(best[some], value[some], last, worth)
        return best, value


def check_patience(patience: int | None) -> None:
    """Refuse a patience of no step.

    Raises:
        ValueError: If it is not at least one step.
    """
    if patience is not None and patience < 1:
        raise ValueError(
            f"The patience is at least one step, not {patience}; None is without limit."
        )
