"""Is the model a fixed function of each clip alone? Checks 4 and 5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from steadyear.attacks.core.mode import attack_mode
from steadyear.attacks.core.views import prediction_of
from steadyear.attacks.sanity.protocol.context import CheckContext, difference
from steadyear.attacks.sanity.protocol.evidence import Sample
from steadyear.attacks.sanity.protocol.registry import check
from steadyear.attacks.sanity.protocol.verdict import Finding, Status, graded

_FEW = 4
_LOUDER = 10.0


def _judge_mode(samples: list[Sample]) -> Finding:
    layers = int(max(sample.largest("layers") for sample in samples))
    changed = int(max(sample.largest("changed") for sample in samples))
    if layers:
        says = f"{layers} dropout or normalisation layers are in train mode: call model.eval()"
    elif changed:
        says = f"a forward pass changes {changed} buffers of the model"
    else:
        says = "all layers are in eval mode and a forward pass changes nothing"
    return Finding(Status.FAIL if layers + changed else Status.PASS, layers + changed, says)


@check(4, "eval_mode", "layers in train mode, and buffers that change", _judge_mode, "model")
def eval_mode(context: CheckContext) -> dict[str, Tensor]:
    """Look at the layers before the attack, and again while they are called."""
    modules = [m for root in _roots(context.model) for m in root.modules()]
    layers = [m for m in modules if _depends_on_mode(m)]
    training = {id(m) for m in layers if m.training}
    buffers = [b for m in modules for b in m.buffers(recurse=False)]
    before = [b.clone() for b in buffers]
    with attack_mode(context.model, context.x.device), torch.no_grad(), _watched(layers) as called:
        context.model(context.x.detach().clone())
    changed = sum(not torch.equal(a, b) for a, b in zip(before, buffers, strict=True))
    numbers = {"layers": len(training | called), "changed": changed}
    return {name: _every(context, number) for name, number in numbers.items()}


@contextmanager
def _watched(layers: list[nn.Module]) -> Iterator[set[int]]:
    called: set[int] = set()

    def look(module: nn.Module, _inputs: Any) -> None:
        if module.training:
            called.add(id(module))

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_pre_hook(look))
        yield called


def _depends_on_mode(module: nn.Module) -> bool:
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)
    return isinstance(module, kinds)


def _roots(model: Any) -> list[nn.Module]:
    # A function around a module hides its mode from the attack, and from nobody else.
    if isinstance(model, nn.Module):
        return [model]
    if isinstance(model, partial):
        return [root for part in (model.func, *model.args) for root in _roots(part)]
    if isinstance(model, MethodType):
        return _roots(model.__self__)
    cells = (model.__closure__ or ()) if isinstance(model, FunctionType) else ()
    return [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, nn.Module)]


def _judge_determinism(samples: list[Sample]) -> Finding:
    gap = max(sample.largest("gap") for sample in samples)
    says = "two forward passes on the same clips differ by this share of the largest output"
    if gap > _SAME:
        says += "; a single pass is no score: average over many (EOT) and score several times"
    return Finding(graded(gap, _SAME, 1e-3), gap, says)


_SAME = 1e-5


@check(5, "determinism", "difference between two forward passes", _judge_determinism, "model")
def determinism(context: CheckContext) -> dict[str, Tensor]:
    """Ask twice, and once more."""
    with attack_mode(context.model, context.x.device), torch.no_grad():
        first, *others = (
            prediction_of(context.model(context.x.detach().clone())) for _ in range(3)
        )
    return {"gap": torch.stack([difference(other, first) for other in others]).amax(0)}


def _judge_batch(samples: list[Sample]) -> Finding:
    gap = max(sample.largest("gap") for sample in samples)
    says = "a clip alone and the same clip among others differ by this share of the largest output"
    if gap > 1e-4:
        says += "; look for statistics over the batch in front end and normalisation"
    return Finding(graded(gap, 1e-4, 1e-3), gap, says)


@check(4, "batch_invariance", "change of a clip's output with its batch", _judge_batch, "model")
def batch_invariance(context: CheckContext) -> dict[str, Tensor]:
    """Compare clips alone, in their batch, and beside a loud neighbour."""
    x = context.x.detach()
    gaps = []
    with attack_mode(context.model, x.device), torch.no_grad():
        together = prediction_of(context.model(x.clone()))
        for i in range(min(_FEW, len(x))):
            clip = x[i : i + 1]
            neighbour = _LOUDER * x[i - 1 : i or None].flip(-1)
            if context.attack.bounds is not None and context.attack.view.at_input:
                neighbour = neighbour.clamp(*context.attack.bounds)
            try:
                alone = prediction_of(context.model(clip.clone()))
            except (RuntimeError, ValueError):
                # Normalisation by the batch refuses a single clip.
                gaps.append(x.new_full((1,), torch.inf))
                continue
            beside = prediction_of(context.model(torch.cat([clip, neighbour])))[:1]
            pairs = [(alone, together[i : i + 1]), (alone, beside)]
            gaps.append(torch.stack([difference(a, b) for a, b in pairs]).amax(0))
    few = torch.cat(gaps)
    return {"gap": torch.cat([few, few.new_zeros(len(x) - len(few))])}


def _every(context: CheckContext, number: int) -> Tensor:
    return torch.full((len(context.x),), float(number))
