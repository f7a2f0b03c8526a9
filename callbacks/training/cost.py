"""What training costs, counted rather than timed: forward passes, clips and gradient queries."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from steadyear.attacks import Crafted
from steadyear.attacks.core.mode import attack_mode
from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.training.recipes.base import Adversary


@dataclass
class ComputeCounter:
    """What adversarial training spent on this process beyond the module's own training steps.

    Attributes:
        attack_gradient_queries: Input gradients, one per clip and step of the attack.
        attack_training_clips: Clips of further forward and backward passes to the parameters.
    """

    attack_gradient_queries: int = 0
    attack_training_clips: int = 0


@dataclass(frozen=True)
class CountedAdversary(Adversary):
    """An adversary that counts its queries and clips.

    Args:
        counter: Where they are counted.
    """

    counter: ComputeCounter
    _counted: list[Crafted] = field(default_factory=list, init=False, repr=False)

    def craft(self, batch: Any) -> Crafted:
        """Attack the batch, and count the gradients."""
        result = super().craft(batch)
        # A batch is attacked once, however often a recipe crafts it.
        if not any(result is each for each in self._counted):
            self._counted[:] = [result]
            self.counter.attack_gradient_queries += int(result.gradient_queries.sum())
        return result

    def output(self, batch: Any, result: Crafted) -> Any:
        """The module's output on the attacked batch; its clips are counted."""
        self.counter.attack_training_clips += len(result.adversarial)
        return super().output(batch, result)

    def loss(self, batch: Any, result: Crafted) -> Tensor:
        """The objective on the attacked batch; its clips are counted."""
        self.counter.attack_training_clips += len(result.adversarial)
        return super().loss(batch, result)


def keys_of(trainer: Trainer) -> BatchKeys:
    """Where batches hold their input: as the first callback with ``keys`` says."""
    found = (getattr(callback, "keys", None) for callback in _callbacks(trainer))
    return next((keys for keys in found if isinstance(keys, BatchKeys)), BatchKeys())


def compute_of_callbacks(trainer: Trainer) -> ComputeCounter:
    """What the callbacks of this process have spent so far, by the attributes of ``ComputeCounter``."""
    names = ("attack_gradient_queries", "attack_training_clips")
    return ComputeCounter(
        *(sum(int(getattr(each, name, 0)) for each in _callbacks(trainer)) for name in names)
    )


def clips_in(batch: Any, keys: BatchKeys) -> int | None:
    """Number of clips in a batch; ``None`` where its input is not found."""
    try:
        return len(batch[keys.input_key(batch)])
    except (ValueError, TypeError):
        return None


def forward_gflops(module: LightningModule, batch: Any, keys: BatchKeys) -> float | None:
    """Floating-point operations of one clip's forward pass, in 10^9.

    A multiplication and an addition are two operations. Counted are matrix products,
    convolutions and attention, not element-wise work, normalisation or Fourier transforms. The
    module's mode, gradients and random numbers stay as they are. ``None``, with a line in the log,
    where it cannot be measured.
    """
    try:
        operations = _count(module, batch[keys.input_key(batch)][:1])
    # A foreign module may fail in any way, which must not end a training run.
    except Exception as error:  # noqa: BLE001
        reason = (str(error).splitlines() or [""])[0]
        rank_zero_info(f"The cost of a forward pass is unknown: {type(error).__name__}: {reason}")
        return None
    if not operations:
        rank_zero_info("The cost of a forward pass is unknown: PyTorch counts none of its parts.")
        return None
    return operations / 1e9


def _count(module: LightningModule, clip: Tensor) -> int:
    # A compiled network would be compiled again for one clip, and hides its parts.
    eager = torch.compiler.set_stance("force_eager")
    counter = FlopCounterMode(display=False)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        stack.enter_context(torch.random.fork_rng([clip.device] if clip.is_cuda else []))
        stack.enter_context(eager)
        stack.enter_context(attack_mode(module, clip.device))
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        module(clip)
    return int(counter.get_total_flops())


def _callbacks(trainer: Trainer) -> list[Any]:
    # Lightning does not type this attribute.
    return list(trainer.callbacks)  # type: ignore[attr-defined]
