"""Promises of every ball x solver x objective, drawn by Hypothesis from what `attacks` exports.

A new ball, attack or objective needs a row in one of the tables of `tests/attacks/registry.py`.
"""

from __future__ import annotations

import inspect
import os
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from steadyear import attacks
from steadyear.attacks import Attack, Ball, Objective
from steadyear.attacks.ensembles.plans import PLANS
from steadyear.foundation.random_streams import RandomStreams
from steadyear.lightning_modules import LogFilterbank, LogMel
from tests.attacks.registry import (
    ATTACKS,
    BALLS,
    BALLS_ELSEWHERE,
    OBJECTIVES,
    OUTPUTS,
    AttackRow,
    BallRow,
    ObjectiveRow,
)

EXAMPLES = int(os.environ.get("STEADYEAR_EXAMPLES", "1"))
"""Cases of every ball and solver, each with all objectives; raise it to search further."""
TURNS = 3 if EXAMPLES == 1 else 1
"""Of the two balls with slow transforms, one case takes every third objective."""
SAME = 1e-9
"""Rounding of double precision on the way through an attack, in shares."""


def exported(base: type) -> set[str]:
    classes = {
        name for name, v in vars(attacks).items() if inspect.isclass(v) and issubclass(v, base)
    }
    return {name for name in classes if not inspect.isabstract(getattr(attacks, name))}


@pytest.fixture(scope="module", autouse=True)
def small_ensemble() -> Iterator[None]:
    """AudioAutoAttack has no settings; its plan is made small from outside."""
    with pytest.MonkeyPatch.context() as patch:
        plan = PLANS["1.1-quick"]._replace(steps=3, targets=1, bisections=1, queries=6)
        patch.setitem(PLANS, "1.1-quick", plan)
        yield


@pytest.mark.parametrize(
    ("base", "rows"),
    [(Ball, {**BALLS, **BALLS_ELSEWHERE}), (Attack, ATTACKS), (Objective, OBJECTIVES)],
)
def test_everything_that_is_exported_has_a_row(base: type, rows: dict[str, Any]) -> None:
    missing = exported(base) - set(rows)
    assert not missing, f"Give {sorted(missing)} a row in tests/attacks/registry.py."


SOLVERS = {name: row for name, row in ATTACKS.items() if row.make is not None}


class OneByOne(nn.Module):
    """Sums products clip by clip, so that equal clips give equal bits in every batch."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(8, values) / values**0.5)
        self.second = nn.Parameter(torch.randn(OUTPUTS, 8) / 8**0.5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = (x.flatten(1)[:, None] * self.first).sum(2).tanh()
        return (hidden[:, None] * self.second).sum(2)


@dataclass(frozen=True)
class Drawn:
    """What is drawn: clips of some shape, a model, a budget, and orders of the clips."""

    seed: int
    clips: int
    shape: tuple[int, ...]
    share: float
    order: tuple[int, ...]

    def budget(self, row: BallRow) -> float:
        low, high = row.budgets
        return low + self.share * (high - low)

    def case(
        self, row: BallRow, objective: ObjectiveRow
    ) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        # Waveforms are long enough for the analysis of those balls that need them.
        shape = (160,) if row.waveform else self.shape
        if row.make(0.1).requires_waveform:
            shape = shape[-2:]  # channels and time
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            net = OneByOne(int(torch.tensor(shape).prod())).double().eval()
        x = torch.randn(self.clips, *shape, generator=generator, dtype=torch.float64)
        target = targets(objective, self.clips, generator)
        index = torch.randperm(1000, generator=generator)[: self.clips]
        return net, x, target, index


def targets(row: ObjectiveRow, clips: int, generator: torch.Generator) -> Tensor:
    if row.task == "multiclass":
        return torch.randint(OUTPUTS, (clips,), generator=generator)
    if row.task == "pairs":
        pairs = torch.rand(clips, OUTPUTS, generator=generator).argsort(1)
        return pairs[:, :2].contiguous()
    values = torch.rand(clips, OUTPUTS - row.held, generator=generator, dtype=torch.float64)
    return values if row.task == "regression" else (values > 0.5).double()


def drawn_by(number: int, cell: str) -> Drawn:
    """A case of its own for every number and cell, also where only one number is drawn for each."""
    chance = random.Random(number + zlib.crc32(cell.encode()))
    clips = chance.randint(3, 5)
    return Drawn(
        chance.randrange(2**20),
        clips,
        chance.choice([(12,), (1, 3, 4), (2, 5)]),
        chance.random(),
        tuple(chance.sample(range(clips), clips)),
    )


def fitting(solver: AttackRow) -> Iterator[tuple[ObjectiveRow, dict[str, Any]]]:
    """Objectives of a solver, or its own objective for each task."""
    for task, more in solver.tasks.items():
        yield next(row for row in OBJECTIVES.values() if row.task == task), more
    for name, row in OBJECTIVES.items():
        refused = solver.decides and row.objective.couples_clips
        named = solver.objectives is None or name in solver.objectives
        if not solver.tasks and named and not refused:
            yield row, {}


CELLS = [
    pytest.param(name, ball_name, id=f"{name}-{ball_name}")
    for name, solver in SOLVERS.items()
    for ball_name, ball in BALLS.items()
    if solver.balls is None or ball_name in solver.balls
]


def modest() -> settings:
    return settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize(("solver_name", "ball_name"), CELLS)
@modest()
@given(number=st.integers(0, 2**20))
def test_promises(solver_name: str, ball_name: str, number: int) -> None:
    solver, ball = SOLVERS[solver_name], BALLS[ball_name]
    drawn = drawn_by(number, f"{solver_name} {ball_name}")
    cases = list(fitting(solver))
    if ball.waveform:
        # Their transforms are slow; over the solvers every objective has its turn.
        cases = cases[drawn.seed % TURNS :: TURNS] or cases
    for row, more in cases:
        assert solver.make is not None
        attack = solver.make(ball.make(drawn.budget(ball)), row.objective, seed=drawn.seed, **more)
        if row.random_start and attack.starts_at_clean():
            continue
        note = f"{attack!r} {drawn}"
        case = drawn.case(ball, row)
        result = stays_in_the_ball(attack, case, note)
        is_not_worse_than_its_start(attack, solver, case, result, note)
        does_not_depend_on_order_and_batch(attack, case, result, drawn, note)
        if ball.zero:
            net, x, target, index = case
            nothing = attack.at(0.0)(net, x, target, index=index)
            assert torch.equal(nothing.adversarial, x), note
            assert torch.equal(nothing.output, nothing.clean_output), note


Case = tuple[nn.Module, Tensor, Tensor, Tensor]


def stays_in_the_ball(attack: Attack, case: Case, note: str) -> attacks.AttackResult:
    net, x, target, index = case
    result = attack(net, x, target, index=index)
    moved = result.adversarial - x
    eps = attack.ball.eps
    assert (attack.ball.size(moved, x) <= eps * (1 + SAME)).all(), note
    torch.testing.assert_close(attack.ball.project(moved, x), moved, atol=SAME, rtol=1e-6)
    known = {"linf": moved.flatten(1).abs().amax(1), "l2": moved.flatten(1).norm(dim=1)}
    if attack.ball.norm in known:
        assert (known[attack.ball.norm] <= eps * (1 + SAME)).all(), note
    return result


def is_not_worse_than_its_start(
    attack: Attack, solver: AttackRow, case: Case, result: attacks.AttackResult, note: str
) -> None:
    net, x, target, index = case
    clean = attack.view.read(result.clean_output)
    objective, reference = attack.objective, attack.objective.reference(clean, target)
    if solver.at_least == "start":
        start = attack.ball.project(attack.ball.sample_in_ball(x, RandomStreams(1, index)), x)
        result = attack(net, x, target, index=index, start=start)
        with torch.no_grad():
            clean = net(x + start)
    value = objective(clean, reference)
    better = result.objective >= value - SAME * (1 + value.abs())
    if solver.success_first:
        before = objective.success(clean, clean, reference)
        assert (result.success | ~before).all(), note
        better |= result.success & ~before
    if solver.at_least is not None:
        assert better.all(), note


def does_not_depend_on_order_and_batch(
    attack: Attack, case: Case, result: attacks.AttackResult, drawn: Drawn, note: str
) -> None:
    net, x, target, index = case
    # The value of a coupled objective is that of its batch: only the order is free.
    order = drawn.order if attack.objective.couples_clips else drawn.order[: drawn.clips // 2 + 1]
    clips = torch.tensor(order)
    part = attack(net, x[clips], target[clips], index=index[clips])
    for name in ("adversarial", "objective", "size"):
        ours, whole = getattr(part, name), getattr(result, name)[clips]
        torch.testing.assert_close(ours, whole, atol=1e-8, rtol=1e-8, msg=lambda m: f"{note}\n{m}")


class Chain(nn.Module):
    """Waveform to front end to convolutions to logits."""

    def __init__(self, frontend: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.net = nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.BatchNorm2d(3),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(12, OUTPUTS),
        )

    def forward(self, waveform: Tensor) -> Tensor:
        logits: Tensor = self.net(self.frontend(waveform))
        return logits


FRONTENDS: dict[str, Callable[[], nn.Module]] = {
    "LogMel": lambda: LogMel(256, 64, 12, 8000, mean=-40.0, std=20.0),
    "LogFilterbank": lambda: LogFilterbank(mean=0.5, std=0.3),
}
SMOOTH = [name for name, row in OBJECTIVES.items() if row.smooth]


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("name", SMOOTH)
@modest()
@given(seed=st.integers(0, 2**20))
def test_gradients_of_the_whole_chain_agree_with_finite_differences(
    frontend: str, name: str, seed: int
) -> None:
    row = OBJECTIVES[name]
    seed += zlib.crc32(f"{frontend}{name}".encode()) % 2**20
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Chain(FRONTENDS[frontend]()).double().eval()
    generator = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(4, 4800, generator=generator, dtype=torch.float64)
    away = 0.05 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    ways = torch.randn(3, *x.shape, generator=generator, dtype=torch.float64)
    seen: list[tuple[Tensor, Tensor]] = []

    class Look(Attack):
        def solve(self, query: attacks.Query, rng: RandomStreams) -> Tensor:
            gradient = query.gradient(away).gradient
            for way in ways:
                step = 1e-6 * way
                slope = (query.value(away + step) - query.value(away - step)) / 2e-6
                seen.append(((gradient * way).sum(), slope.sum()))
            return away

    Look(attacks.Linf(1.0), row.objective)(model, x, targets(row, 4, generator))
    foretold, found = (torch.stack(values) for values in zip(*seen, strict=True))
    assert found.abs().max() > 0
    torch.testing.assert_close(foretold, found, rtol=1e-4, atol=1e-4 * float(found.abs().max()))
