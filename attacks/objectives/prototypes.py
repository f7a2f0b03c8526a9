"""Objectives on prototypes that belong to classes: hide those of a clip's labels, activate others."""

from __future__ import annotations

import torch
from torch import Tensor

from steadyear.attacks.objectives.base import Objective
from steadyear.attacks.objectives.multilabel import present


class OwnPrototypes(Objective):
    """Targeted attack on the prototypes of the clip's own classes, and on those of all others.

    Reads activations (batch, prototypes), as ``View(field="prototype_activations")`` gives them, of
    a head in which every class has k prototypes and prototype i belongs to class i // k, as in
    AudioProtoPNet. The value is the mean activation of the prototypes of absent classes, minus that
    of the prototypes of the labels present. A clip without labels has nothing to hide, a clip with
    all labels nothing to activate: that part of the value is 0. The choice of the mean is ours.

    Args:
        hide: Lower the prototypes of the labels present.
        activate: Raise the prototypes of absent classes.
        tolerance: The attack succeeds when the value has grown by more than this; activations lie
            between 0 and 1.

    Raises:
        ValueError: If the attack is to do neither.
    """

    def __init__(self, hide: bool = True, activate: bool = True, tolerance: float = 0.1) -> None:
        if not (hide or activate):
            raise ValueError("OwnPrototypes hides, activates, or both: set one of them to true.")
        self.hide = hide
        self.activate = activate
        self.tolerance = tolerance

    def reference(self, clean: Tensor, target: Tensor | None) -> Tensor:
        """The labels of the clips.

        Args:
            clean: Activations without attack.
            target: The labels.

        Raises:
            ValueError: If there are no labels; activations do not say which classes are present.
        """
        if target is None:
            raise ValueError("OwnPrototypes needs labels (batch, classes) as the target.")
        return target

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuse labels that are not multi-hot, or to which the prototypes cannot belong."""
        fits = prediction.ndim == target.ndim == 2 and len(prediction) == len(target)
        if not fits or prediction.shape[1] % max(target.shape[1], 1):
            raise ValueError(
                "OwnPrototypes reads activations (batch, classes * k), see View(field="
                '"prototype_activations"), and labels (batch, classes); got '
                f"{tuple(prediction.shape)} and {tuple(target.shape)}."
            )
        if bool(((target < 0) | (target > 1)).any()):
            raise ValueError("OwnPrototypes needs labels from 0 to 1, one for each class.")

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean activation of what is activated minus that of what is hidden, per clip."""
        k = prediction.shape[1] // target.shape[1]
        own = present(target).repeat_interleave(k, 1)
        value = prediction.new_zeros(len(prediction))
        if self.activate:
            value = value + _mean(prediction, ~own)
        if self.hide:
            value = value - _mean(prediction, own)
        return value

    def margin(self, prediction: Tensor, clean: Tensor, target: Tensor) -> Tensor:
        """Growth of the value minus the tolerance."""
        return self(prediction, target) - self(clean, target) - self.tolerance


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values of each clip, shape (batch,); 0 where none is chosen."""
    return torch.where(chosen, values, 0.0).sum(1) / chosen.sum(1).clamp_min(1)
