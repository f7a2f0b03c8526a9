"""The configurations in small: few clips, narrow networks, few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "configs"
EXPERIMENTS = {
    f"{path.parent.name}/{path.stem}": path
    for path in sorted((CONFIGS / "experiment").glob("*/*.yaml"))
    # Evaluations of published checkpoints train nothing.
    if not path.stem.startswith("eval_")
}
SYNTHETIC = ("demo", "synthetic", "birds_demo")
BIRDS = ("birds_demo", "bc6", "birdset")
CLASSES = ("esc50",)


def changes(experiment: str) -> dict[str, Any]:
    """What makes an experiment small.

    Args:
        experiment: Its name, such as ``demo/a2e``.
    """
    folder = experiment.split("/")[0]
    data: dict[str, Any] = {"batch_size": 4}
    if folder in SYNTHETIC:
        data["num_clips"] = [4, 2, 2] if folder in BIRDS else [8, 4, 6]
    if folder not in BIRDS:
        data["excerpt_seconds"] = 2.0
    elif folder != "birds_demo":
        data |= {"num_workers": 0, "window_seconds": 2.0}
    if folder == "mer":
        data["allow_missing"] = True
    network: dict[str, Any] = {"width": 0.05}
    if folder in BIRDS + CLASSES:
        network = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8]}
    callbacks = {"robustness": {"init_args": {"budgets": [0.05], **attacks(folder)}}}
    if "protopnet" in experiment:
        callbacks["prototypes"] = {"init_args": {"clips": 1}}
    trainer = {
        "max_epochs": 2,
        "limit_test_batches": 1,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return {
        "model": {"init_args": {"network": {"init_args": network}}},
        "data": {"init_args": data},
        "trainer": trainer,
        "callbacks": callbacks,
        "logger": {"wandb": None},
    }


def attacks(folder: str) -> dict[str, Any]:
    """The attacks of the MER protocols with two steps; those of other studies stay."""
    file = {"mer": "mer_protocols", "synthetic": "mer_short"}.get(folder)
    if file is None:
        return {}
    named = yaml.safe_load((CONFIGS / f"callbacks/{file}.yaml").read_text())["init_args"]["attacks"]
    for name in named.keys() & {"as_stated", "as_run", "fmn_linf", "fmn_l2"}:
        named[name]["init_args"]["steps"] = 2
    return {"attacks": named}


def small(experiment: str) -> list[str]:
    """Flags that make an experiment small; they write a file into the working directory.

    Args:
        experiment: Its name.
    """
    Path("small.yaml").write_text(yaml.safe_dump(changes(experiment), sort_keys=False))
    return ["--config", "small.yaml"]
