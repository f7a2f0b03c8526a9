"""The attacks whose figures are recorded in `auto_attack.json`: one row each.

Everything is in double precision, and weights, clips and targets come from uniform numbers, which
are the same on every processor. `record.py` refuses rows that a tiny change of the clips changes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadyear import attacks
from steadyear.attacks import (
    APGD,
    BIM,
    DDN,
    DLR,
    EOT,
    FGSM,
    FMN,
    L1,
    L2,
    MIFGSM,
    NES,
    NIFGSM,
    PGD,
    SNR,
    AbsoluteError,
    Attack,
    AudioAutoAttack,
    CarliniWagner,
    ClassObjective,
    CrossEntropy,
    DeepFool,
    FrequencyMask,
    GridSearch,
    HideLabels,
    HopSkipJump,
    LabelMargin,
    Linf,
    Margin,
    MultiLabelObjective,
    Noise,
    OutputLoss,
    Psychoacoustic,
    RandomSearch,
    Shift,
    SignAdam,
    Square,
    SquaredError,
    Transfer,
    Universal,
    View,
    WorstOf,
)

CLIPS, OUTPUTS = 6, 5
FIELDS = ("success", "gradient_queries", "forward_queries", "objective", "size")
REAL = ("objective", "size")
"""The fields that are compared up to rounding."""
RELATIVE = 1e-6
JITTER = 1e-11
"""Relative change of all clips that no recorded figure may notice."""
TOLERANCE = 0.15
TASKS = ("regression", "multiclass", "multilabel")


class Conv(nn.Module):
    """Convolutions with batch normalisation, of which gradients are taken from a folded copy."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3, stride=2),
            nn.BatchNorm2d(6),
            nn.ReLU(),
        )
        self.head = nn.Linear(6 * 2 * 3, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


class Restless(nn.Module):
    """Adds noise from the global random state to what it hears."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + 0.1 * (2 * torch.rand(x.shape, dtype=x.dtype) - 1))


@dataclass(frozen=True)
class Case:
    """A model under attack, its clips, and what it should say of them."""

    model: nn.Module
    x: Tensor
    target: Tensor


def drawn(net: nn.Module, seed: int) -> nn.Module:
    """Weights in double precision; those of single precision have other last bits elsewhere."""
    net = net.double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in net.state_dict().items():
            if values.is_floating_point():
                numbers = torch.rand(values.shape, generator=generator, dtype=values.dtype)
                if name.startswith("features.") and values.ndim == 1:
                    # Of batch normalisation, and of the convolutions before it.
                    values.copy_(0.3 + numbers)
                else:
                    values.copy_((2 * numbers - 1) / values[0].numel() ** 0.5)
    return net


def mlp(seed: int = 3, inputs: int = 12) -> nn.Module:
    return drawn(nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, OUTPUTS)), seed)


def conv(seed: int = 1) -> nn.Module:
    return drawn(Conv(), seed)


def case(net: str, task: str) -> Case:
    """One of the models, with targets that some clips are far from losing.

    Args:
        net: `mlp`, `small` (two inputs), `long` (waveforms of 160 samples) or `conv`.
        task: One of `TASKS`.
    """
    with torch.random.fork_rng():
        if net == "conv":
            model, shape = conv(), (1, 6, 8)
        else:
            inputs = {"mlp": 12, "restless": 12, "small": 2, "long": 160}[net]
            model, shape = mlp(inputs=inputs), (inputs,)
        torch.manual_seed(1)
        x = 2 * torch.rand(CLIPS, *shape, dtype=torch.float64) - 1
        error = torch.rand(CLIPS, OUTPUTS, dtype=torch.float64) - 0.5
    with torch.no_grad():
        z = model(x)
    if net == "restless":
        model = Restless(model)
    if task == "multiclass":
        return Case(model, x, z.argmax(1))
    if task == "multilabel":
        # Not all decisions are right, so that damage and success differ.
        return Case(model, x, (z + 0.2 * error > 0).double())
    return Case(model, x, z + 0.2 * error)


# By task: budgets that lie in wide gaps between the minimal norms of the clips.
BUDGETS: dict[tuple[str, type], tuple[float, float, float]] = {
    ("mlp", L1): (2.2, 2.2, 0.85),
    ("mlp", SNR): (0.6, 0.55, 0.22),
    ("conv", Linf): (0.47, 0.2, 0.196),
    ("conv", L2): (2.7, 1.0, 0.97),
}
VERSIONS = (("1.0", "success"), ("1.1", "success"), ("1.1", "damage"))
ROWS: dict[str, tuple[Callable[[], Attack], str, str]] = {}
"""By name: how the attack is made, the network, and the task."""


def row(name: str, make: Callable[[], Attack], net: str = "mlp", task: str = "regression") -> None:
    assert name not in ROWS, name
    ROWS[name] = make, net, task


def budget(net: str, ball: type, task: str) -> Any:
    return ball(BUDGETS[net, ball][TASKS.index(task)])


def named(ball: Any) -> str:
    return f"{type(ball).__name__} {ball.eps:g}"


def ensemble(net: str, ball: Any, task: str, version: str, worst: Any) -> None:
    row(
        f"AudioAutoAttack {version} {worst}, {task}, {net}, {named(ball)}",
        lambda: AudioAutoAttack(ball, task, TOLERANCE, version=version, worst=worst),
        net,
        task,
    )


def ensembles() -> None:
    """Everything quick, and in full what needs no random search, which takes seconds."""
    cells = (("conv", Linf), ("conv", L2), ("mlp", SNR))
    for (number, (version, worst)), (net, ball), (place, task) in product(
        enumerate(VERSIONS), cells, enumerate(TASKS)
    ):
        # L2 is slow: every version does without another task.
        if ball is not L2 or number != place:
            ensemble(net, budget(net, ball, task), task, f"{version}-quick", worst)
    ensemble("mlp", budget("mlp", L1, "multiclass"), "multiclass", "1.1-quick", "success")
    for version, task in product(("1.0", "1.1"), TASKS):
        # Everyone falls.
        ensemble("mlp", Linf(1.0), task, version, "success")


def costs() -> dict[str, list[int]]:
    """The most that a clip can cost, by version, task and ball: gradients and forward passes."""
    found = {}
    for (version, worst), size, task in product(VERSIONS, ("", "-quick"), TASKS):
        for ball in (Linf(1.0), L2(1.0), L1(1.0), SNR(1.0)):
            attack = AudioAutoAttack(ball, task, version=f"{version}{size}", worst=worst)
            name = f"{version}{size} {worst}, {task}, {type(ball).__name__}"
            found[name] = [attack.cost.gradient_queries, attack.cost.forward_queries]
    return found


def single(ball: Any, objective: Any, make: Callable[..., Attack], net: str, **more: Any) -> None:
    """A row of an attack with ball and objective.

    Args:
        ball: The ball.
        objective: The objective, which says what the task is.
        make: Class of the attack.
        net: The network.
        **more: Its other settings.
    """
    task = "regression"
    if isinstance(objective, ClassObjective):
        task = "multiclass"
    elif isinstance(objective, MultiLabelObjective):
        task = "multilabel"
    settings = "".join(f", {key} {value}" for key, value in more.items())
    name = f"{make.__name__} {type(objective).__name__}, {net}, {named(ball)}{settings}"
    row(name, lambda: make(ball, objective, **more), net, task)


def by_gradients() -> None:
    error = AbsoluteError(tolerance=TOLERANCE)
    for ball in (Linf(0.38), L2(1.13), L1(2.2), SNR(0.6)):
        single(ball, error, PGD, "mlp", restarts=1)
        single(ball, error, PGD, "mlp", restarts=2)
        single(ball, error, APGD, "mlp", steps=25)
        single(ball, error, FGSM, "mlp")
        single(ball, error, BIM, "mlp")
    for ball in (
        FrequencyMask(8000, [500, 2000], [-10, -20, 0], 0.5),
        Psychoacoustic(8000, 2.0, bins=16),
    ):
        single(ball, SquaredError(), PGD, "long")
    for ball in (Linf(0.2), L2(1.0)):
        single(ball, CrossEntropy(), PGD, "conv", restarts=2)
        single(ball, Margin(), PGD, "conv", restarts=2, until_success=True)
        single(ball, Margin(), PGD, "conv", steps=40, patience=2, relative_step=0.4)
        single(ball, DLR(), APGD, "conv", steps=25)
        single(ball, CrossEntropy(), MIFGSM, "conv")
        single(ball, CrossEntropy(), NIFGSM, "conv")
    for objective in (OutputLoss(), HideLabels(), LabelMargin()):
        single(Linf(0.4), objective, PGD, "conv")
    inside = View(perturb_at="0")
    row("PGD AbsoluteError, mlp, inside", lambda: PGD(Linf(0.5), error, view=inside))
    single(Linf(0.38), SquaredError(), PGD, "mlp", keep_best=False, random_start=False)
    single(Linf(0.38), SquaredError(), PGD, "mlp", bounds=(-1.2, 1.2), seed=7)
    single(Linf(0.38), Shift(down=True), APGD, "mlp")
    row("SignAdam AbsoluteError, mlp", lambda: SignAdam(error, steps=60, learning_rate=0.03))


def by_norm() -> None:
    """Minimal-norm attacks; after more steps FMN turns around on the edge of success."""
    error = AbsoluteError(tolerance=TOLERANCE)
    hop, fool = {"steps": 4, "probes": 10}, {"steps": 20, "shrink_steps": 4}
    for norm in (Linf, L2, L1):
        single(norm(math.inf), error, FMN, "mlp", steps=10)
        single(norm(math.inf), error, HopSkipJump, "mlp", **hop)
        if norm is not L1:
            single(norm(math.inf), error, DeepFool, "mlp", **fool)
    for objective, most, far in ((Margin(), 1.0, 3.0), (LabelMargin(), 0.97, 3.0)):
        single(L2(most), objective, FMN, "conv", steps=10)
        single(L2(most), objective, DDN, "conv", steps=20)
        single(L2(most), objective, DeepFool, "conv", **fool)
        single(L2(most), objective, CarliniWagner, "conv", searches=3, **fool)
        single(L2(far), objective, HopSkipJump, "conv", **hop)


def by_values() -> None:
    error = AbsoluteError(tolerance=TOLERANCE)
    for ball in (Linf(0.38), L2(1.13), L1(2.2), SNR(0.6)):
        single(ball.at(2 * ball.eps), error, Noise, "mlp", tries=3)
        single(ball.at(2 * ball.eps), error, RandomSearch, "mlp", tries=20)
        single(ball, error, NES, "mlp", steps=5, samples=10)
    for ball in (Linf(0.2), L2(1.0)):
        single(ball, Margin(), Square, "conv", queries=100)
        single(ball, Margin(), Square, "conv", queries=100, until_success=True)
    single(Linf(0.38), error, Square, "mlp", queries=150)
    for ball in (Linf(1.2), L2(1.8)):
        single(ball, error, GridSearch, "small")
        single(ball, error, GridSearch, "small", refine=True)


def of_others() -> None:
    """Attacks that are made of others, or of other clips and models."""
    squared, error = SquaredError(), AbsoluteError(tolerance=TOLERANCE)
    classes = ("conv", "multiclass")
    row("EOT of PGD, restless", lambda: EOT(PGD(Linf(0.38), error), samples=4), "restless")
    row("EOT of APGD, restless", lambda: EOT(APGD(L2(1.13), error, steps=10), 3), "restless")
    row("Transfer of PGD, mlp", lambda: Transfer(mlp(5), PGD(Linf(0.9), error)))
    row(
        "Transfer of APGD, conv",
        lambda: Transfer(conv(5), APGD(L2(6), Margin(), steps=20)),
        *classes,
    )
    row("Universal, mlp", lambda: fitted(Universal(Linf(0.8), error), "mlp", "regression"))
    row(
        "Universal, conv",
        lambda: fitted(Universal(L2(1.4), CrossEntropy(), epochs=3), *classes),
        *classes,
    )
    row(
        "WorstOf PGD and APGD, mlp",
        lambda: WorstOf([PGD(Linf(0.38), squared), APGD(Linf(0.38), error, steps=20)], error),
    )
    row(
        "WorstOf both ways, mlp",
        lambda: WorstOf([PGD(L2(1.5), Shift()), PGD(L2(1.5), Shift(down=True))], error, seed=3),
    )
    row(
        "WorstOf PGD and Square, conv",
        lambda: WorstOf([PGD(Linf(0.2), CrossEntropy()), Square(Linf(0.2), Margin(), queries=50)]),
        *classes,
    )


def fitted(attack: Universal, net: str, task: str) -> Universal:
    given = case(net, task)
    parts = [(given.x[part], given.target[part]) for part in (slice(4), slice(2, None))]
    return attack.fit(given.model, parts)


for _make in (ensembles, by_gradients, by_norm, by_values, of_others):
    _make()


def measure(name: str, jitter: float = 0.0) -> dict[str, list[Any]]:
    """The figures of a row, one value per clip.

    Args:
        name: Name of the row.
        jitter: Relative change of all clips.
    """
    make, net, task = ROWS[name]
    attack, given = make(), case(net, task)
    index = torch.arange(10, 10 + CLIPS)
    result = attack(given.model, given.x * (1 + jitter), given.target, index=index)
    return {field: getattr(result, field).tolist() for field in FIELDS}


def agree(found: dict[str, list[Any]], recorded: dict[str, list[Any]]) -> bool:
    """Whether figures are the recorded ones: counts exactly, values up to rounding."""
    exact = all(found[field] == recorded[field] for field in FIELDS if field not in REAL)
    return exact and all(found[field] == approximately(recorded[field]) for field in REAL)


def approximately(values: list[float]) -> Any:
    return pytest.approx(values, rel=RELATIVE, abs=1e-7)


def exported() -> set[str]:
    """Names of all attacks that can be made."""
    classes = {name: value for name, value in vars(attacks).items() if inspect.isclass(value)}
    found = {name for name, value in classes.items() if issubclass(value, Attack)}
    return {name for name in found if not inspect.isabstract(classes[name])}
