"""Attacks of other libraries behind one signature, for the benchmarks beside them.

Nothing is imported before it is asked for, and what is not installed is left out. Every attack runs
as its library runs it. Losses go in where a library has a place for them; the start is the same for
all that let one be given.
"""

from __future__ import annotations

import importlib
import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
"""One value per clip, shape (clips,), of predictions and targets."""

PACKAGES = {
    "foolbox": "foolbox",
    "torchattacks": "torchattacks",
    "ART": "adversarial-robustness-toolbox",
    "AutoAttack": "pyautoattack",
    "captum": "captum",
    "SecML-Torch": "secml-torch",
}
"""Names in tables, and of the distributions."""


@dataclass(frozen=True)
class Budget:
    """What every attack of a comparison is given.

    Attributes:
        norm: ``"linf"`` or ``"l2"``.
        eps: Size of the ball, in the unit of the input, which lies in [0, 1].
        steps: Number of gradients.
        start: First perturbation, shape of the input.
        seed: What ``start`` was drawn with, for libraries that draw it themselves.
    """

    norm: str
    eps: float
    steps: int
    start: Tensor
    seed: int = 0

    @property
    def step(self) -> float:
        """Length of a step of PGD."""
        return 2.5 * self.eps / self.steps


def budget(norm: str, eps: float, steps: int, x: Tensor, seed: int = 0) -> Budget:
    """A budget with a start as torchattacks draws it, and the authors of APGD.

    Uniform in [-eps, eps], or in the L2 ball a random direction of length eps. What those who begin
    at the surface of the Linf ball do more is to stretch it, by a few percent.
    """
    torch.manual_seed(seed)
    if norm == "linf":
        start = eps * (2 * torch.rand(x.shape) - 1).to(x)
    else:
        noise = torch.randn(x.shape).to(x)
        start = eps * noise / noise.flatten(1).norm(dim=1).reshape(-1, *(1 for _ in x.shape[1:]))
    return Budget(norm, eps, steps, (x + start).clamp(0, 1) - x, seed)


def installed() -> dict[str, str]:
    """Versions of the libraries that are there, by their names in tables."""
    found = {}
    for name, package in PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


def report_missing(found: dict[str, str]) -> None:
    """Say which libraries the tables go without."""
    for name in PACKAGES:
        if name in found:
            print(f"{name} {found[name]}")
        else:
            print(f"{name} is not installed: its rows are left out (install the bench extra)")


def attempt(run: Callable[[], Tensor]) -> Tensor | str:
    """What an attack returns, or the error that it stops with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run().detach()
        except Exception as error:  # noqa: BLE001 - whatever stops a library is shown
            reason = " ".join(str(error).split())[:70]
            return f"{type(error).__name__}: {reason}"


def cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each clip; also of probabilities, as torch allows."""
    return F.cross_entropy(prediction, target, reduction="none")


def foolbox_pgd(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of foolbox by its ``run``, with the loss in a subclass, as its documentation advises."""
    foolbox, ep = importlib.import_module("foolbox"), importlib.import_module("eagerpy")

    class Attack(_foolbox_from_start(within)):  # type: ignore[misc]
        def get_loss_fn(self, model: Any, labels: Any) -> Callable[[Any], Any]:
            return lambda inputs: ep.astensor(loss(model(inputs).raw, y).sum())

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device=x.device)
    attack = Attack(rel_stepsize=within.step / within.eps, steps=within.steps)
    # The labels only tell that the attack is untargeted.
    labels = foolbox.criteria.Misclassification(torch.zeros(len(x), dtype=torch.int64))
    found: Tensor = attack.run(model, x, labels, epsilon=within.eps)
    return found


def _foolbox_from_start(within: Budget) -> Any:
    foolbox, ep = importlib.import_module("foolbox"), importlib.import_module("eagerpy")
    base = foolbox.attacks.LinfPGD if within.norm == "linf" else foolbox.attacks.L2PGD

    class FromStart(base):  # type: ignore[misc, valid-type]
        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return x0 + ep.astensor(within.start)

    return FromStart


def foolbox_call(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of foolbox by its public call, which knows classes only."""
    foolbox = importlib.import_module("foolbox")

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device=x.device)
    make = _foolbox_from_start(within)
    attack = make(rel_stepsize=within.step / within.eps, steps=within.steps)
    found: Tensor = attack(model, x, y, epsilons=within.eps)[1]
    return found


def foolbox_minimal(name: str, **settings: float) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """A minimal-norm attack of foolbox.

    Args:
        name: Class in ``foolbox.attacks``.
        settings: Its arguments.
    """

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        foolbox = importlib.import_module("foolbox")
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device=x.device)
        attack = getattr(foolbox.attacks, name)(**settings)
        found: Tensor = attack.run(model, x, foolbox.criteria.Misclassification(y))
        return found

    return run


def captum_pgd(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of captum, whose steps are signs in every norm."""
    captum = importlib.import_module("captum.robust")
    attack = captum.PGD(net, loss_func=loss, lower_bound=0, upper_bound=1)
    attack._random_point = lambda center, *_: center + within.start
    found: Tensor = attack.perturb(
        x, radius=within.eps, step_size=within.step, step_num=within.steps, target=y,
        random_start=True, norm={"linf": "Linf", "l2": "L2"}[within.norm],
    )  # fmt: skip
    return found


def secml_pgd(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of SecML-Torch, which keeps the worst of the points that it took gradients at."""
    pgd = importlib.import_module("secmlt.adv.evasion.pgd")
    models = importlib.import_module("secmlt.models.pytorch.base_pytorch_nn")
    attack = pgd.PGDNative(
        perturbation_model=within.norm, epsilon=within.eps, num_steps=within.steps,
        step_size=within.step, random_start=True, lb=0.0, ub=1.0,
    )  # fmt: skip
    attack.loss_function = loss
    attack.initializer = lambda _: within.start.clone()
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=len(x))
    found = attack(models.BasePyTorchClassifier(net), loader)
    return torch.cat([clips for clips, *_ in found])


def torchattacks_pgd(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of torchattacks; its loss is always the cross-entropy, whatever was asked for."""
    torchattacks = importlib.import_module("torchattacks")
    make = torchattacks.PGD if within.norm == "linf" else torchattacks.PGDL2
    torch.manual_seed(within.seed)
    attack = make(net, eps=within.eps, alpha=within.step, steps=within.steps, random_start=True)
    found: Tensor = attack(x, y)
    return found


def _torchattacks_apgd(
    kind: str, net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget
) -> Tensor:
    torchattacks = importlib.import_module("torchattacks")
    attack = torchattacks.APGD(
        net, norm=_capital(within.norm), eps=within.eps, steps=within.steps, n_restarts=1,
        seed=within.seed, loss=kind,
    )  # fmt: skip
    found: Tensor = attack(x, y)
    return found


torchattacks_apgd = partial(_torchattacks_apgd, "ce")
"""APGD of torchattacks with the cross-entropy."""
torchattacks_dlr = partial(_torchattacks_apgd, "dlr")
"""APGD of torchattacks with the difference of logits ratio."""


def torchattacks_auto(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Tensor:
    """AutoAttack, version standard, as torchattacks has it; more targets than it expects fail."""
    torchattacks = importlib.import_module("torchattacks")
    with torch.no_grad():
        classes = net(x[:1]).shape[1]
    attack = torchattacks.AutoAttack(
        net, norm=_capital(within.norm), eps=within.eps, n_classes=classes, seed=within.seed
    )
    found: Tensor = attack(x, y)
    return found


def authors_auto(net: nn.Module, x: Tensor, y: Tensor, within: Budget) -> Tensor:
    """AutoAttack, version standard, as its authors have it."""
    autoattack = importlib.import_module("pyautoattack")
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    attack = autoattack.AutoAttack(
        net, norm=_capital(within.norm), eps=within.eps, seed=within.seed, device=x.device
    )
    found: Tensor = attack.run_standard_evaluation(x, y, batch_size=len(x))[0]
    return found


def art_pgd(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of ART, with a start of its own."""
    return _art_pgd(net, x, y, within, nn.CrossEntropyLoss())


def art_bce(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of ART on a classifier with the binary cross-entropy."""
    return _art_pgd(net, x, y, within, nn.BCEWithLogitsLoss())


def _art_pgd(net: nn.Module, x: Tensor, y: Tensor, within: Budget, loss: nn.Module) -> Tensor:
    evasion = importlib.import_module("art.attacks.evasion")
    attack = evasion.ProjectedGradientDescentPyTorch(
        art_classifier(net, x, loss), **_art_settings(x, within), eps_step=within.step,
        max_iter=within.steps, num_random_init=1,
    )  # fmt: skip
    return _art(attack, x, y, within)


def art_regression(net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget) -> Tensor:
    """PGD of ART on its regressor."""
    evasion = importlib.import_module("art.attacks.evasion")
    estimators = importlib.import_module("art.estimators.regression.pytorch")
    estimator = estimators.PyTorchRegressor(
        net, loss=nn.MSELoss(), input_shape=tuple(x.shape[1:]), clip_values=(0, 1),
        device_type=_art_device(x),
    )  # fmt: skip
    attack = evasion.ProjectedGradientDescent(
        estimator, **_art_settings(x, within), eps_step=within.step, max_iter=within.steps,
        num_random_init=1,
    )  # fmt: skip
    return _art(attack, x, y, within)


def _art_apgd(
    kind: str, net: nn.Module, x: Tensor, y: Tensor, loss: Loss, within: Budget
) -> Tensor:
    evasion = importlib.import_module("art.attacks.evasion")
    attack = evasion.AutoProjectedGradientDescent(
        art_classifier(net, x, nn.CrossEntropyLoss()), **_art_settings(x, within),
        eps_step=2 * within.eps, max_iter=within.steps, nb_random_init=1, loss_type=kind,
    )  # fmt: skip
    return _art(attack, x, y, within)


art_apgd = partial(_art_apgd, "cross_entropy")
"""APGD of ART with the cross-entropy."""
art_dlr = partial(_art_apgd, "difference_logits_ratio")
"""APGD of ART with the difference of logits ratio."""


def art_classifier(net: nn.Module, x: Tensor, loss: nn.Module) -> Any:
    """ART's view of a classifier."""
    estimators = importlib.import_module("art.estimators.classification")
    with torch.no_grad():
        classes = net(x[:1]).shape[1]
    return estimators.PyTorchClassifier(
        net, loss=loss, input_shape=tuple(x.shape[1:]), nb_classes=classes, clip_values=(0, 1),
        device_type=_art_device(x),
    )  # fmt: skip


def _art(attack: Any, x: Tensor, y: Tensor, within: Budget) -> Tensor:
    np.random.seed(within.seed)  # it draws its start from there
    found = attack.generate(x.cpu().numpy(), y.cpu().numpy())
    return torch.from_numpy(found).to(x)


def _art_settings(x: Tensor, within: Budget) -> dict[str, Any]:
    norm = math.inf if within.norm == "linf" else 2
    return {"norm": norm, "eps": within.eps, "batch_size": len(x), "verbose": False}


def _art_device(x: Tensor) -> str:
    return "gpu" if x.is_cuda else "cpu"


def _capital(norm: str) -> str:
    return norm.capitalize()
