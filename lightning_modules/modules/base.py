"""The steps that every module shares."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from steadyear.foundation.task import TaskName
from steadyear.lightning_modules.frontends.base import Frontend
from steadyear.lightning_modules.frontends.statistics import fit_statistics
from steadyear.lightning_modules.optimization.parameter_groups import GroupSettings, grouped
from steadyear.lightning_modules.optimization.schedules import WarmupCosine
from steadyear.lightning_modules.outputs import Output

Stage = Literal["val", "test"]
Batch = dict[str, Any]


class BaseModule(LightningModule):
    """Front end, network and optimiser; training, validation and test steps live here once.

    Args:
        network: Maps spectrograms (batch, 1, height, width) to embeddings (batch, embedding_dim) or
            maps (batch, embedding_dim, h, w), and says so in its attribute ``embedding_dim``.
        frontend: Turns waveforms into the network's input; may be missing when only spectrograms
            are given. One without statistics is fitted when training starts.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes the learning-rate schedule from the optimiser, stepped once per epoch;
            ``WarmupCosine`` is stepped after every step of the optimiser.
        parameter_groups: The optimiser's settings by pattern of parameter names, where parts of the
            module need their own.
    """

    task: ClassVar[TaskName]
    """What the module does; robustness is reported accordingly."""

    def __init__(
        self,
        network: nn.Module,
        frontend: Frontend | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
        parameter_groups: GroupSettings | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.frontend = frontend
        self._make_optimizer = optimizer
        self._make_lr_scheduler = lr_scheduler
        self._parameter_groups = parameter_groups or {}

    def setup(self, stage: str) -> None:
        """Fit the front end on the training clips of the data, if it has no statistics.

        Args:
            stage: What the Trainer is about to do; only ``fit`` fits.
        """
        data = getattr(self.trainer, "datamodule", None)
        offered = getattr(data, "spectrograms_to_fit", None)
        if (
            stage == "fit"
            and callable(offered)
            and self.frontend
            and not bool(self.frontend.fitted)
        ):
            fit_statistics(self.frontend, offered())

    def remember_configuration(self) -> None:
        """Store in checkpoints what rebuilds the network, and nothing that a run may change.

        Lightning lets a checkpoint's values override the command line without a word, so optimiser
        and schedule stay out. Objects that were built in Python stay out too: a checkpoint must
        load without unpickling code.
        """
        ignored = ["optimizer", "lr_scheduler", "parameter_groups"]
        self.save_hyperparameters(ignore=ignored, logger=False)
        for name, value in list(self.hparams.items()):
            if isinstance(value, nn.Module) or callable(value):
                del self.hparams[name]

    @abstractmethod
    def forward(self, x: Tensor) -> Output:
        """Predict from waveforms (batch, time) or spectrograms (batch, 1, height, width)."""

    @abstractmethod
    def loss(self, output: Output, batch: Batch) -> Tensor:
        """Mean loss of a batch, a scalar."""

    @abstractmethod
    def collect(self, output: Output, batch: Batch) -> None:
        """Keep a batch's predictions for the scores of the epoch."""

    @abstractmethod
    def epoch_scores(self) -> dict[str, float]:
        """Loss and scores of all that was collected, each clip once; forgets it afterwards."""

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings of waveforms or spectrograms, shape (batch, embedding_dim, ...).

        Raises:
            ValueError: If a waveform comes and there is no front end, or ``x`` is neither.
        """
        if x.ndim == 2:
            if self.frontend is None:
                raise ValueError("The batch holds waveforms, but the module has no frontend.")
            x = self.frontend(x)
        elif x.ndim != 4:
            raise ValueError(
                "Expected waveforms (batch, time) or spectrograms (batch, 1, height, width), "
                f"not {tuple(x.shape)}."
            )
        embedding: Tensor = self.network(x)
        return embedding

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a training batch."""
        loss = self.loss(self(network_input(batch)), batch)
        size = len(network_input(batch))
        self.log(
            "train/loss",
            loss,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            sync_dist=True,
            batch_size=size,
        )
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect a validation batch."""
        self.collect(self(network_input(batch)), batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect a test batch."""
        self.collect(self(network_input(batch)), batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Output:
        """Output of a batch."""
        output: Output = self(network_input(batch))
        return output

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation clips."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test clips."""
        self._log_scores("test")

    def _log_scores(self, stage: Stage) -> None:
        for name, value in self.epoch_scores().items():
            self.log(f"{stage}/{name}", value, prog_bar=name == "loss")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build what the factories describe."""
        groups = grouped(self.named_parameters(), self._parameter_groups)
        optimizer = self._make_optimizer(groups)
        if self._make_lr_scheduler is None:
            return optimizer
        scheduler = self._make_lr_scheduler(optimizer)
        if not isinstance(scheduler, WarmupCosine):
            return {"optimizer": optimizer, "lr_scheduler": scheduler}
        scheduler.plan(self.trainer.estimated_stepping_batches)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def network_input(batch: Batch) -> Tensor:
    """The tensor that a module reads: the spectrogram if there is one, else the waveform.

    Raises:
        ValueError: If the batch has neither.
    """
    for key in ("spectrogram", "waveform"):
        if key in batch:
            value: Tensor = batch[key]
            return value
    raise ValueError(f"The batch has no 'spectrogram' and no 'waveform', only {sorted(batch)}.")
