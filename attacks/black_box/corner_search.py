"""Corner search: random corners of the Linf ball."""

from __future__ import annotations

from torch import Tensor

from steadyear.attacks.black_box.random_search import RandomSearch
from steadyear.attacks.core.query import Query
from steadyear.attacks.signal.sizes import keep_worse
from steadyear.foundation.random_streams import RandomStreams


class CornerSearch(RandomSearch):
    """Random perturbations of the whole budget, of which each clip's worst is kept."""

    def solve(self, query: Query, rng: RandomStreams) -> Tensor:
        """Draw, and keep each clip's worst try."""
        best = query.project(self.ball.sample_on_sphere(query.x, rng.stream(0)))
        value = query.value(best)
        for number in range(1, self.tries):
            other = query.project(self.ball.sample_on_sphere(query.x, rng.stream(number)))
            best, value = keep_worse(best, value, other, query.value(other))
        return best
