"""A published bird sound model as a module: to be evaluated, attacked, or trained further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn

from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.modules.multilabel import MultiLabelModule
from steadyear.lightning_modules.pretrained.published import class_rows, load_published


class PretrainedBirdClassifier(MultiLabelModule):
    """Front end, network and head of a published checkpoint, for the classes of the data.

    The data module's ``target_names`` are looked up among the names of the checkpoint's classes,
    and only their part of the head is kept, before anything is trained or tested.

    Args:
        checkpoint: A folder with ``config.json`` and ``model.safetensors``, or a repository of the
            Hugging Face hub such as ``DBD-research-group/ConvNeXT-Base-BirdSet-XCL``.
        classes: Names (eBird codes) of the classes to keep; ``None`` keeps all until a data module
            says which it has.
        revision: Branch, tag or commit of the repository; ``None`` takes the newest.
        frontend: Turns waveforms into the network's input; ``None`` takes what belongs to the
            checkpoint.
        loss: Loss of logits and multi-hot targets; ``None`` stands for ``AsymmetricLoss()``.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate schedule from the optimiser.
        parameter_groups: The optimiser's settings by pattern of parameter names.

    Raises:
        FileNotFoundError: If the checkpoint is not there and cannot be downloaded.
        ValueError: If its tensors do not fit, or it does not know a class.
    """

    def __init__(
        self,
        checkpoint: str,
        classes: Sequence[str] | None = None,
        revision: str | None = None,
        frontend: Frontend | None = None,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        parameter_groups: dict[str, dict[str, float]] | None = None,
    ) -> None:
        published = load_published(checkpoint, classes, revision)
        super().__init__(
            published.network,
            lambda _: published.head,
            published.frontend if frontend is None else frontend,
            loss,
            optimizer,
            lr_scheduler,
            parameter_groups,
        )
        self._known_classes = published.class_names

    def setup(self, stage: str) -> None:
        """Keep the classes of the data, in its order.

        Raises:
            ValueError: If the checkpoint has no names of classes, or does not know one of the data.
        """
        data = getattr(self.trainer, "datamodule", None)
        wanted = list(getattr(data, "target_names", []))
        if wanted and wanted != self._known_classes:
            rows = class_rows(self._known_classes, wanted)
            head: Any = self.head
            self.head = head.select(rows)
            self._known_classes = wanted
            # So that load_from_checkpoint builds a head of this size.
            self.hparams["classes"] = wanted
        super().setup(stage)
