"""Loggers that write into the folder of a run."""

from __future__ import annotations

import csv
import hashlib
import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from steadyear.foundation.extras import optional_imports

# Since wandb 0.31 the service has a new name; logins under the old one stay valid.
_FORMER_NAMES = {"api.forge.coreweave.com": "api.wandb.ai"}


class RunCSVLogger(CSVLogger):
    """Appends to ``metrics.csv`` in the run's folder; a test or a resumed fit loses nothing.

    Args:
        save_dir: Where to write; ``None`` stands for the run's folder.
        flush_logs_every_n_steps: How often to write to disk.
    """

    def __init__(self, save_dir: str | None = None, flush_logs_every_n_steps: int = 100) -> None:
        super().__init__(save_dir or ".", "", "", "", flush_logs_every_n_steps)
        self._placed = save_dir is not None

    def place(self, folder: Path, experiment: str) -> None:
        """Write into the run's folder, unless another one was given."""
        if not self._placed:
            self._save_dir = self._root_dir = str(folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """Writer of the metrics."""
        if not isinstance(self._experiment, ExperimentWriter):
            self._experiment = _AppendingWriter(self.log_dir)
        return self._experiment


class _AppendingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        # The parent deletes what an earlier stage wrote; go on below its header instead.
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


class RunWandbLogger(WandbLogger):
    """W&B logger that works without an account and without a network.

    Args:
        project: W&B project.
        save_dir: Where to write; ``None`` stands for the run's folder.
        name: Name of the run; ``None`` stands for experiment and run.
        group: Runs that belong together; ``None`` stands for the experiment.
        id: Stable id, so that ``fit`` and ``test`` of a run are one W&B run; ``None`` derives it
            from the run's folder.
        offline: Whether to write to disk only, for ``wandb sync`` later; ``None`` is offline unless
            the user is logged in, and leaves ``WANDB_MODE=disabled`` as it is.
        tags: Tags of the run.
    """

    def __init__(
        self,
        project: str = "steadyear",
        save_dir: str | None = None,
        name: str | None = None,
        group: str | None = None,
        id: str | None = None,
        offline: bool | None = None,
        tags: list[str] | None = None,
    ) -> None:
        with optional_imports("The logger for W&B (or switch it off: --logger.wandb null)"):
            import wandb  # noqa: F401  asked for before Lightning's own message
        if offline is None:
            # Lightning turns "disabled" into "offline" unless the logger is online.
            offline = os.environ.get("WANDB_MODE") != "disabled" and not logged_in()
        extra: dict[str, Any] = {"group": group, "tags": tags}
        super().__init__(
            name=name, save_dir=save_dir or ".", id=id, project=project, offline=offline, **extra
        )
        self._wandb_init.pop("anonymous")  # W&B warns of it in every run
        self._given = {"dir": save_dir, "name": name, "group": group, "id": id}

    def place(self, folder: Path, experiment: str) -> None:
        """Fill in what was not given."""
        # Fit and test of a run share an id; the same run in another clone must not.
        identity = hashlib.blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()
        derived = {
            "dir": str(folder),
            "name": f"{experiment}/{folder.name}",
            "group": experiment,
            "id": identity,
        }
        self._wandb_init |= {key: self._given[key] or value for key, value in derived.items()}
        self._save_dir = self._wandb_init["dir"]
        self._name = self._wandb_init["name"]
        self._id = self._wandb_init["id"]


def logged_in() -> bool:
    """Whether W&B knows an account: by the environment or by the netrc file of ``wandb login``."""
    if os.environ.get("WANDB_MODE") in {"offline", "dryrun", "disabled"}:
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb

    server = urlparse(os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url)
    host = server.hostname or ""
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        known = netrc.netrc(file)
        names = (server.netloc, host, _FORMER_NAMES.get(host, host))
        return any(known.authenticators(name) is not None for name in names)
    except (OSError, netrc.NetrcParseError):
        return False
