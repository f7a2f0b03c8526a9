"""Build a tested run again from its own configuration and checkpoint."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import LightningDataModule, LightningModule, seed_everything
from lightning.pytorch.cli import LightningArgumentParser

from steadyear.callbacks import RobustnessEvaluation
from steadyear.cli.lightning_cli import SteadyEarCLI, run
from steadyear.cli.messages import is_misfit, plain
from steadyear.compare.load.runs import Run
from steadyear.runs.folders import CHECKPOINTS

CONFIG: Final = "config-test.yaml"


@dataclass(frozen=True)
class RestoredRun:
    """A tested run, built again.

    Attributes:
        label: Name of its system in tables.
        run: What its test left.
        module: The network with the tested weights, in eval mode.
        data: Its data, not yet set up.
        evaluation: How it was attacked.
        attacks: Configuration of each attack.
    """

    label: str
    run: Run
    module: LightningModule
    data: LightningDataModule
    evaluation: RobustnessEvaluation
    attacks: dict[str, Any]


class Rebuild(SteadyEarCLI):
    """The command line of a run, up to the point where it would start."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The one that is needed, for building all of them takes time."""
        return {"test": SteadyEarCLI.subcommands()["test"]}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Make a parser whose errors can be caught."""
        return super().init_parser(**{**kwargs, "exit_on_error": False})

    def _set_seed(self) -> None:
        seed_everything(self.config[self.subcommand].seed_everything, True, verbose=False)

    def before_instantiate_classes(self) -> None:
        """Keep the robustness evaluation, which holds the attacks; nothing may write."""
        config = self.config[self.subcommand]
        config.logger = {}
        config.callbacks = {"robustness": _evaluations(config.callbacks)[-1]}

    def instantiate_classes(self) -> None:
        """Build module, data and attacks, and no trainer."""
        self.config_init = self.parser.instantiate_classes(self.config)
        self.datamodule = self._get(self.config_init, "data")
        self.model = self._get(self.config_init, "model")

    def _run_subcommand(self, subcommand: str) -> None:
        return


def restore(label: str, tested: Run) -> RestoredRun:
    """Build a run again.

    Args:
        label: Name of its system in tables.
        tested: What its test left.

    Raises:
        FileNotFoundError: If its configuration or its checkpoint is gone.
        ValueError: If the configuration does not fit this version, or the checkpoint the model.
    """
    path = tested.folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}: transfer needs the network itself, as `steadyear test` leaves it. "
            "Test the run, or leave it out (imported logs have no network)."
        )
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    evaluations = _evaluations(said.get("callbacks") or {})
    if not evaluations:
        raise ValueError(f"{path} has no RobustnessEvaluation, whose attacks transfer uses.")
    try:
        with warnings.catch_warnings():
            # Lightning wonders why the process has another command line.
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
            program = run(["test", "--config", str(path)], Rebuild)
    except ArgumentError as error:
        raise ValueError(f"{path} cannot be built again: {plain(str(error))}") from error
    _load(program.model, _checkpoint(tested.folder, said.get("ckpt_path")), path)
    parts = program.config_init["test"]
    return RestoredRun(
        label,
        tested,
        program.model.eval(),
        program.datamodule,
        parts["callbacks"]["robustness"],
        evaluations[-1]["init_args"]["attacks"],
    )


def _evaluations(callbacks: dict[str, Any]) -> list[Any]:
    name = RobustnessEvaluation.__name__
    parts = [part for part in callbacks.values() if part is not None]
    return [part for part in parts if str(part["class_path"]).rsplit(".", 1)[-1] == name]


def _checkpoint(folder: Path, recorded: str | None) -> Path:
    if recorded is None:
        raise ValueError(f"{folder / CONFIG} names no checkpoint; run `steadyear test` again.")
    path = Path(recorded)
    # Folders are moved: a checkpoint of the run's own lies beside the configuration.
    if path.parts[-3:-1] == (folder.resolve().name, CHECKPOINTS):
        path = folder / CHECKPOINTS / path.name
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no checkpoint {path}, with which {folder} was tested: put it back, or train "
            "and test the run again."
        )
    return path


def _load(module: LightningModule, checkpoint: Path, config: Path) -> None:
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        if not is_misfit(error):
            raise
        raise ValueError(
            f"{checkpoint} does not fit the model of {config}: run `steadyear test` again with the "
            "configuration that the checkpoint was trained with."
        ) from error
