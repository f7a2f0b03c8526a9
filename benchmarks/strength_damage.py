"""Parts (b) and (c) of the comparison of strength: regression and multi-label."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import attack_peers as peers
import strength_runs as strength
import torch
import torch.nn.functional as F
from attack_peers import Budget, Loss
from attack_report import Report, Row
from attack_tasks import (
    LABELS,
    OUTPUTS,
    Task,
    labelled,
    network,
    rated,
    trained,
)
from strength_runs import Attacker, Extent, Found, PeerAttack
from torch import Tensor, nn

from steadyear.attacks import (
    AbsoluteError,
    ClassRanking,
    LabelMargin,
    Objective,
    OutputLoss,
    SquaredError,
    WrongLabels,
)
from steadyear.lightning_modules.metrics import CMAP

EVEN = 1e-6  # share of the damage that is rounding


@dataclass(frozen=True)
class Damage:
    """A figure of damage, what we attack it with, and what users of other libraries would.

    Attributes:
        name: Name in tables.
        figure: Of clean and attacked predictions and targets; more is worse.
        objective: Ours.
        loss: The usual one, per clip.
        usual: Its name.
        ours: Whether our objective is another loss than the usual one.
    """

    name: str
    figure: Callable[[Tensor, Tensor, Tensor], float]
    objective: Objective
    loss: Loss
    usual: str
    ours: bool = False


def added(error: Loss) -> Callable[[Tensor, Tensor, Tensor], float]:
    """How much the mean of an error grows."""
    return lambda clean, attacked, y: (error(attacked, y) - error(clean, y)).mean().item()


def absolute(prediction: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error of each clip."""
    return (prediction - y).abs().mean(1)


def squared(prediction: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each clip."""
    return (prediction - y).square().mean(1)


def binary(prediction: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of each clip, mean over the labels."""
    return F.binary_cross_entropy_with_logits(prediction, y, reduction="none").mean(1)


def cmap_lost(clean: Tensor, attacked: Tensor, y: Tensor) -> float:
    """Points of cmAP that are lost."""
    return 100 * (_cmap(clean, y) - _cmap(attacked, y))


def _cmap(prediction: Tensor, y: Tensor) -> float:
    metric = CMAP()
    metric.update(prediction, y, torch.arange(len(y)))
    return float(metric.compute())


def flipped(clean: Tensor, attacked: Tensor, y: Tensor) -> float:
    """Labels per clip whose decision changes."""
    return ((clean > 0) != (attacked > 0)).double().sum(1).mean().item()


def clips_flipped(clean: Tensor, attacked: Tensor, y: Tensor) -> float:
    """Share of clips of which a decision changes, in percent."""
    return 100 * ((clean > 0) != (attacked > 0)).any(1).double().mean().item()


REGRESSION = (
    Damage("MAE added", added(absolute), AbsoluteError(), absolute, "MAE"),
    Damage("MSE added", added(squared), SquaredError(), squared, "MSE"),
)
MULTILABEL = (
    Damage("BCE added", added(binary), OutputLoss(), binary, "BCE"),
    Damage("cmAP points lost", cmap_lost, ClassRanking(), binary, "BCE", ours=True),
    Damage("labels flipped per clip", flipped, WrongLabels(), binary, "BCE"),
)
FLIPS = Damage("clips flipped %", clips_flipped, LabelMargin(), binary, "BCE", ours=True)


def free_peers(found: dict[str, str]) -> dict[str, PeerAttack]:
    """Libraries whose PGD takes any loss."""
    able: dict[str, PeerAttack] = {
        "foolbox subclass": peers.foolbox_pgd,
        "captum": peers.captum_pgd,
        "SecML-Torch": peers.secml_pgd,
    }
    return {name: attack for name, attack in able.items() if name.split()[0] in found}


def fixed_peers(found: dict[str, str], regression: bool) -> dict[str, Attacker]:
    """Attacks of libraries that know classes only, given our targets as they are."""
    named: dict[str, Attacker] = {
        "foolbox call": strength.theirs(peers.foolbox_call),
        "torchattacks PGD": strength.theirs(peers.torchattacks_pgd),
        "torchattacks APGD": strength.theirs(peers.torchattacks_apgd),
        "torchattacks AutoAttack": peers.torchattacks_auto,
        "ART PGD": strength.theirs(peers.art_regression if regression else peers.art_bce),
        "ART APGD": strength.theirs(peers.art_apgd),
        "AutoAttack": peers.authors_auto,
    }
    return {name: attack for name, attack in named.items() if name.split()[0] in found}


def damage_attacks(damage: Damage, found: dict[str, str]) -> dict[str, Attacker | Found]:
    """PGD of all libraries, with the usual loss and with our objective, and our APGD."""
    rows: dict[str, Attacker | Found] = {
        "ours PGD": strength.our_pgd(damage.objective),
        "ours APGD": strength.our_apgd(damage.objective),
    }
    for name, attack in free_peers(found).items():
        rows[f"{name} PGD, {damage.usual}"] = strength.theirs(attack, damage.loss)
        if damage.ours:
            rows[f"{name} PGD, our objective"] = strength.theirs(attack, damage.objective)
    if "torchattacks" in found:
        rows["torchattacks PGD, its CE"] = strength.theirs(peers.torchattacks_pgd)
    return rows


def judge(
    report: Report, task: Task, within: Budget, damage: Damage, rows: dict[str, Attacker | Found]
) -> None:
    """One figure of damage under each attack; the best of ours against the best of the others."""
    with torch.no_grad():
        clean = task.net(task.x)
    table: list[Row] = []
    most = {True: -math.inf, False: -math.inf}
    for name, attacker in rows.items():
        result = attacker if isinstance(attacker, Found) else strength.run(attacker, task, within)
        if isinstance(result.clips, str):
            table.append({"attack": name, damage.name: result.clips})
            continue
        with torch.no_grad():
            value = damage.figure(clean, task.net(result.clips), task.y)
        mine = name.startswith("ours")
        most[mine] = max(most[mine], value)
        place = strength.check(result.clips, task, within)
        table.append({"attack": name, damage.name: value, **result.costs, "ball": place})
    title = f"{task.name}, {within.norm} {within.eps:g}, {within.steps} steps: {damage.name}"
    report.table(title, table)
    if most[False] > -math.inf:
        report.at_least(title, most[True], most[False] * (1 - EVEN))


def restarted(attacker: Attacker, loss: Loss, starts: int) -> Attacker:
    """Each clip's worst of several starts, by a loss."""

    def attack(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Tensor:
        worst, most = x, torch.full((len(x),), -math.inf)
        for seed in range(starts):
            again = peers.budget(within.norm, within.eps, within.steps, x, seed)
            found = attacker(net, x, y, again)
            with torch.no_grad():
                value = loss(net(found), y)
            better = value > most
            worst = torch.where(better.reshape(-1, 1, 1, 1), found, worst)
            most = torch.where(better, value, most)
        return worst

    return attack


def with_restarts(
    task: Task, within: Budget, damage: Damage, ensemble: Attacker, found: dict[str, str]
) -> dict[str, Attacker | Found]:
    """AudioAutoAttack, and PGD with so many starts that it takes no fewer gradients.

    Of all starts the one with the largest objective is kept. One library's PGD is enough: with the
    same start, step and loss, it is the same in all of them.
    """
    ours = strength.run(ensemble, task, within)
    starts = max(1, math.ceil(ours.costs["gradients"] / within.steps))
    rows: dict[str, Attacker | Found] = {"ours AudioAutoAttack": ours}
    losses = {damage.usual: damage.loss}
    if damage.ours:
        losses["our objective"] = damage.objective
    for library, attack in list(free_peers(found).items())[:1]:
        for name, loss in losses.items():
            again = restarted(strength.theirs(attack, loss), damage.objective, starts)
            rows[f"{library} PGD, {name}, {starts} starts"] = again
    return rows


def misfits(
    report: Report, task: Task, within: Budget, damage: Damage, rows: dict[str, Attacker]
) -> None:
    """What attacks that know classes only do with other targets."""
    with torch.no_grad():
        clean = task.net(task.x)
    table: list[Row] = []
    for name, attacker in rows.items():
        clips = strength.run(attacker, task, within).clips
        if isinstance(clips, str):
            table.append({"attack": name, damage.name: clips})
            continue
        with torch.no_grad():
            value = damage.figure(clean, task.net(clips), task.y)
        table.append({"attack": name, damage.name: f"{value:.5g}, and no warning"})
    report.table(f"{task.name}, {within.steps} steps: attacks that know classes only", table)


def streamed(
    make: Callable[[int], tuple[Tensor, Tensor]], steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Fresh batches of 32."""
    for _ in range(steps):
        yield make(32)


def damage_tasks(
    name: str,
    outputs: int,
    make: Callable[[int], tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    objective: Objective,
    extent: Extent,
) -> list[Task]:
    """An ordinary and an adversarially trained model."""
    torch.manual_seed(0)
    x, y = make(extent.damaged)
    plain = trained(network(outputs, width=8), streamed(make, extent.training), loss)
    tasks = [Task(f"{name}, plain", plain, x, y)]
    if extent.robust:
        batches = streamed(make, 2 * extent.training)
        robust = trained(network(outputs, width=8), batches, loss, objective, 0.015)
        tasks.append(Task(f"{name}, adversarially trained", robust, x, y))
    return tasks


def part_b(report: Report, found: dict[str, str], extent: Extent) -> None:
    """Regression with eight outputs."""
    tasks = damage_tasks("regression", OUTPUTS, rated, F.mse_loss, AbsoluteError(), extent)
    for task in tasks:
        compare_damage(report, task, REGRESSION, found, extent)
        ensemble = strength.our_ensemble("regression", "damage", extent)
        judge_ensemble(report, task, 0.03, REGRESSION[0], ensemble, found, extent)
    within = peers.budget("linf", 0.03, extent.few, tasks[0].x)
    misfits(report, tasks[0], within, REGRESSION[0], fixed_peers(found, regression=True))


def part_c(report: Report, found: dict[str, str], extent: Extent) -> None:
    """Multi-label, with rare labels."""
    loss = F.binary_cross_entropy_with_logits
    tasks = damage_tasks("multi-label", LABELS, labelled, loss, OutputLoss(), extent)
    for task in tasks:
        compare_damage(report, task, MULTILABEL, found, extent)
        ensemble = strength.our_ensemble("multilabel", "damage", extent)
        judge_ensemble(report, task, 0.03, MULTILABEL[0], ensemble, found, extent)
        # How many break, is counted from what the model itself says.
        with torch.no_grad():
            task = replace(task, y=(task.net(task.x) > 0).float())
        ensemble = strength.our_ensemble("multilabel", "success", extent)
        judge_ensemble(report, task, 0.01, FLIPS, ensemble, found, extent)
    within = peers.budget("linf", 0.03, extent.few, tasks[0].x)
    misfits(report, tasks[0], within, MULTILABEL[0], fixed_peers(found, regression=False))


def judge_ensemble(
    report: Report,
    task: Task,
    eps: float,
    damage: Damage,
    ensemble: Attacker,
    found: dict[str, str],
    extent: Extent,
) -> None:
    """Our ensemble beside the restarts of other libraries, with the many steps."""
    within = peers.budget("linf", eps, extent.many, task.x)
    judge(report, task, within, damage, with_restarts(task, within, damage, ensemble, found))


def compare_damage(
    report: Report, task: Task, damages: tuple[Damage, ...], found: dict[str, str], extent: Extent
) -> None:
    """All figures under PGD and APGD with few and many steps."""
    for damage in damages:
        for steps in (extent.few, extent.many):
            within = peers.budget("linf", 0.03, steps, task.x)
            judge(report, task, within, damage, damage_attacks(damage, found))
