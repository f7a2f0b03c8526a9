"""The module with the weights of another training, for the checks that need one."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_warn


def with_weights(module: LightningModule, checkpoint: str | Path) -> LightningModule | None:
    """A copy of a module with the weights of another training, in eval mode.

    Where weights do not fit, a warning says so, and the check that needs them is skipped.

    Args:
        module: The module.
        checkpoint: A checkpoint of Lightning, of the same architecture.

    Returns:
        The copy; ``None`` where the weights do not fit.

    Raises:
        MisconfigurationException: If the file does not exist.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise MisconfigurationException(
            f"There is no checkpoint {path}, which RobustnessEvaluation names as a sibling or twin."
        )
    other = copy.deepcopy(module)
    saved = torch.load(path, map_location=module.device, weights_only=True)
    try:
        other.load_state_dict(saved["state_dict"])
    except (KeyError, RuntimeError) as error:
        rank_zero_warn(
            f"{path} does not fit {type(module).__name__}, and is left out of the sanity checks: "
            f"siblings and twins are other trainings of the same network.\n{error}"
        )
        return None
    return other.eval()
