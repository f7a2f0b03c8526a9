"""`steadyear import-logs`: turn released attack logs into run folders."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml

from steadyear.callbacks.logging.run_record import read_record
from steadyear.foundation.atomic_files import write_text
from steadyear.foundation.records import ROBUSTNESS, RecordMetadata
from steadyear.import_logs.attack_logs import EMOTIONS, LoggedAttack, read_log

EXPERIMENT: Final = "published"
HYPER_PARAMETERS: Final = "attack_hparams.yaml"
UNBOUNDED: Final = (
    "imported from released logs. The attack had no bound, because the released code drops the "
    "result of its clamp: clip_eps is not a budget."
)
MIXED: Final = (
    "the logged L2 norm belongs to the perturbation that was saved, the logged prediction to the "
    "last iteration: they need not belong together."
)


def import_logs(logs: Path, out: Path) -> list[Path]:
    """Turn released attack logs into run folders that `steadyear compare` reads.

    Nothing is written before every log has been read.

    Args:
        logs: Folder with ``<system>/seed<N>.csv`` and, optionally, ``attack_hparams.yaml``.
        out: Folder of the runs to write: ``<system>/seed<N>/``.

    Returns:
        The run folders.

    Raises:
        FileNotFoundError: If there are no logs.
        FileExistsError: If a run that was not imported has the place of one to write.
        ValueError: If a log is damaged; the message names file and line.
    """
    files = _find(logs)
    settings = _settings(logs / HYPER_PARAMETERS)
    attacks = {path: read_log(path) for path in files}
    folders = {path: out / path.parent.name / path.stem for path in files}
    for folder in folders.values():
        _check_free(folder)
    for path, folder in folders.items():
        table = _table(attacks[path])
        metadata = RecordMetadata(EMOTIONS, stage="test")
        ROBUSTNESS.write(table, metadata, folder / "robustness.parquet")
        facts = json.dumps(_facts(path, settings), indent=2)
        write_text(folder / "run.json", facts + "\n")
    return list(folders.values())


def _find(logs: Path) -> list[Path]:
    if not logs.is_dir():
        raise FileNotFoundError(f"{logs} is not a folder; name the folder of the released logs.")
    found = [path for path in logs.glob("*/seed*.csv") if re.fullmatch(r"seed\d+", path.stem)]
    if not found:
        raise FileNotFoundError(
            f"{logs} holds no <system>/seed<N>.csv, for example a2e/seed6.csv; name the folder "
            "that holds one folder per system."
        )
    return sorted(found, key=lambda path: (path.parent.name, _seed(path)))


def _seed(path: Path) -> int:
    return int(path.stem.removeprefix("seed"))


def _settings(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}).") from error
    if not isinstance(settings, dict):
        raise ValueError(  # noqa: TRY004 - the content of a file, not an argument
            f"{path} must hold the attack's settings, one `name: value` per line."
        )
    return settings


def _check_free(folder: Path) -> None:
    if folder.exists() and "imported" not in read_record(folder):
        raise FileExistsError(
            f"{folder} exists and is no imported run; choose another folder with --out."
        )


def _table(attacks: Sequence[LoggedAttack]) -> pd.DataFrame:
    rows = [_row(each) for each in sorted(attacks, key=lambda each: int(each.clip))]
    return pd.DataFrame(rows)


def _row(attack: LoggedAttack) -> dict[str, Any]:
    target = np.asarray(attack.target)
    return {
        "clip": attack.clip,
        # Position in the published table of ratings, whose clips are numbered from 1 on.
        "index": int(attack.clip) - 1,
        "attack": "as_run",
        "domain": "spectrogram",
        "norm": "l2",
        "budget": float("inf"),
        "achieved_linf": None,
        "achieved_l2": attack.l2,
        "achieved_size": attack.l2,
        "snr_db": None,
        "target": attack.target,
        "clean_prediction": attack.clean,
        "attacked_prediction": attack.attacked,
        "target_concepts": None,
        "clean_concepts": None,
        "attacked_concepts": None,
        "clean_error": float(np.abs(target - attack.clean).mean()),
        "attacked_error": float(np.abs(target - attack.attacked).mean()),
        "success": attack.converged,
        "gradient_queries": attack.iterations,
        # The released logs do not say.
        "forward_queries": None,
    }


def _facts(path: Path, settings: dict[str, Any] | None) -> dict[str, Any]:
    system = path.parent.name
    return {
        "format": 1,
        "experiment": f"{EXPERIMENT}/{system}",
        "run": path.stem,
        "system": system,
        "seed": _seed(path),
        "fit_seconds": None,
        "epochs": None,
        "parameters": None,
        "device": None,
        "versions": {},
        "created": None,
        "imported": f"{system}/{path.name}",
        "attack_settings": settings,
        "notes": [UNBOUNDED, MIXED],
    }


def main(args: Sequence[str] | None = None) -> None:
    """Run the command with the arguments after its name, or with those of the process."""
    parser = argparse.ArgumentParser(
        prog="steadyear import-logs",
        description="Turn the attack logs released with the music-emotion study into run folders, "
        "so that `steadyear compare` puts published results beside your own.",
    )
    parser.add_argument(
        "logs",
        type=Path,
        metavar="LOGS",
        help=f"folder of <system>/seed<N>.csv, {HYPER_PARAMETERS}",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs") / EXPERIMENT,
        help="folder to write <system>/seed<N>/ into (default: %(default)s)",
    )
    options = parser.parse_args(args)
    folders = import_logs(options.logs, options.out)
    systems = sorted({folder.parent.name for folder in folders})
    print(f"{len(folders)} runs of {', '.join(systems)}. Next: steadyear compare {options.out}")
