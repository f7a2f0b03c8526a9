"""The command line: LightningCLI with named callbacks and loggers, and a folder for every run."""

from __future__ import annotations

import contextlib
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, Namespace  # type: ignore[attr-defined]  # documented
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

# Imported so that their classes resolve by their short names.
from steadyear import attacks, callbacks, datamodules, lightning_modules
from steadyear.attacks.sanity import Level
from steadyear.callbacks import RunCSVLogger, RunRecord, RunWandbLogger
from steadyear.cli.messages import plain
from steadyear.cli.named_files import files_as_configs
from steadyear.cli.quiet import silence_library_output
from steadyear.cli.relatives import add_relatives
from steadyear.foundation.shipped_configs import with_shipped_parts
from steadyear.lightning_modules.frontends.sharing import share_frontend
from steadyear.runs.folders import CHECKPOINTS, Request, locate

SHORT_NAMES = (attacks, callbacks, datamodules, lightning_modules)
NAMED = {"callbacks": Callback, "logger": Logger}


class Parser(LightningArgumentParser):
    """A parser whose errors are one message, and whose files add to named parts."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message without pages of usage, and leave."""
        if not self.exit_on_error:
            super().error(message, ex)
        program = self.prog.replace("[options] ", "")
        sys.stderr.write(f"error: {plain(message)}\nFor all options: {program} --help\n")
        raise SystemExit(2)

    def dump(self, *args: Any, **kwargs: Any) -> str:
        """Write a configuration as text; what was parsed has been checked already."""
        # Checking takes five times as long as writing, and every stage writes twice.
        return str(super().dump(*args, **{"skip_validation": True, **kwargs}))


class ConfigFile(ActionConfigFile):
    """``--config``: named parts that a file does not mention stay, and shipped parts are found."""

    @staticmethod
    def apply_config(parser: Any, cfg: Namespace, dest: str, value: str) -> None:
        """Add a file, or a text, to what earlier ones said."""
        before = {key: cfg.get(key) for key in NAMED}
        file = Path(value) if value.endswith((".yaml", ".yml")) else None
        shipped = with_shipped_parts(file) if file is not None and file.is_file() else None
        ActionConfigFile.apply_config(parser, cfg, dest, shipped or value)
        if shipped is not None:
            cfg[dest][-1] = file
        elif cfg[dest][-1] is None:
            cfg[dest][-1] = value  # a text: only files have paths
        for key, named in before.items():
            # By itself a later file would replace all callbacks by the one that it changes.
            if isinstance(named, dict) and isinstance(cfg.get(key), dict):
                cfg[key] = named | cfg[key]


class SteadyEarCLI(LightningCLI):
    """LightningCLI whose callbacks and loggers have names, and whose runs have folders.

    Named callbacks and loggers merge across configuration files by name, can be changed on the
    command line (``--callbacks.robustness.budgets "[0.1]"``, ``--callbacks.NAME FILE``) and switched
    off with ``null``; the trainer's own lists can only be replaced as a whole.
    """

    folder: Path

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Make the parser of the program or of a subcommand."""
        # A prefix of an option is a misspelt option, not an abbreviation.
        kwargs.setdefault("dump_header", [f"lightning.pytorch=={version('lightning')}"])
        parser = Parser(allow_abbrev=False, **kwargs)
        parser.add_argument(
            *("-c", "--config"), action=ConfigFile, help="Path to a configuration file, or YAML."
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what SteadyEar knows and Lightning does not."""
        parser.add_argument(
            "--experiment",
            type=str | None,
            default=None,
            help="Name of the experiment; the default is the path of the first --config.",
        )
        parser.add_argument(
            "--run", type=str | None, default=None, help="Name of the run; default: its seed."
        )
        parser.add_argument(
            "--sanity",
            type=Level | None,
            default=None,
            help="Sanity checks of robustness evaluations; the default is what each of them says.",
        )
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all runs.")
        for key, base in NAMED.items():
            parser.add_argument(
                f"--{key}",
                type=dict[str, base | None],  # type: ignore[valid-type]
                default={},
                sub_configs=True,
                help=f"{base.__name__}s by name; null switches one off.",
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the command line, where a named part may be a file."""
        if args is None:
            self.config = parser.parse_args(files_as_configs(sys.argv[1:], NAMED))
        else:
            super().parse_arguments(parser, args)

    def _parse_ckpt_path(self) -> None:
        # Lightning lets a checkpoint's hyper-parameters override files and command line silently.
        # Here the configuration is the truth; weights that do not fit it are an error.
        return

    def before_instantiate_classes(self) -> None:
        """Decide where the run lives, and tell everything that writes."""
        if self.subcommand is None:
            return
        config = self.config[self.subcommand]
        config.experiment = config.experiment or experiment_name(config.get("config") or [])
        seed = config.seed_everything
        first = getattr(rank_zero_only, "rank", 0) == 0
        folder = locate(
            Request(
                stage=self.subcommand,
                runs_dir=Path(config.runs_dir),
                experiment=config.experiment,
                run=config.run,
                checkpoint=config.get("ckpt_path"),
                seed=seed if isinstance(seed, int) else 0,
                claim=first,
                own_weights=bool(config.model.get("init_args", {}).get("checkpoint")),
            )
        )
        self.folder = folder.path
        config.ckpt_path = folder.checkpoint
        evaluations = _parts(config, "RobustnessEvaluation")
        if "verbose" in config and (evaluations or _parts(config, "CorruptionEvaluation")):
            # They print tables of their own; Lightning would add a line for every figure in them.
            config.verbose = False
        for evaluation in evaluations:
            evaluation.init_args.sanity = config.sanity or evaluation.init_args.sanity
            if self.subcommand in ("validate", "test"):
                add_relatives(evaluation.init_args, folder, Path(config.runs_dir))
        if first:
            folder.path.mkdir(parents=True, exist_ok=True)
            start = f", from {folder.checkpoint}" if folder.checkpoint else ""
            print(f"SteadyEar {self.subcommand}: {folder.path}{start}", flush=True)

    def after_fit(self) -> None:
        """Say how to go on."""
        configs = self._get(self.config, "config") or []
        if getattr(rank_zero_only, "rank", 0) == 0 and configs:
            files = " ".join(f"--config {shlex.quote(str(path))}" for path in configs)
            print(f"Test this run: steadyear test {files} --run {self.folder.name}", flush=True)

    def instantiate_classes(self) -> None:
        """Build everything, with one front end for model and data; a failure leaves no empty folder."""
        try:
            super().instantiate_classes()
            share_frontend(self.model, self.datamodule)
        except BaseException:
            with contextlib.suppress(OSError, AttributeError):
                self.folder.rmdir()
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer with the named callbacks and loggers, all in the run's folder."""
        trainer = self._get(self.config_init, "trainer", default={})
        named = {
            key: [part for part in self._get(self.config_init, key).values() if part is not None]
            for key in NAMED
        }
        for part in named["callbacks"] + named["logger"]:
            place(part, self.folder, self._get(self.config_init, "experiment"))
        kwargs["default_root_dir"] = str(self.folder)
        kwargs["callbacks"] = list(trainer.get("callbacks") or []) + named["callbacks"]
        if trainer.get("logger") is None:
            kwargs["logger"] = named["logger"] or False
        return super().instantiate_trainer(**kwargs)


def place(part: Callback | Logger, folder: Path, experiment: str) -> None:
    """Tell a callback or logger which folder is the run's, unless it was given another one."""
    if isinstance(part, ModelCheckpoint):
        part.dirpath = part.dirpath or str(folder / CHECKPOINTS)
    elif isinstance(part, RunCSVLogger | RunWandbLogger):
        part.place(folder, experiment)


def experiment_name(configs: list[Any]) -> str:
    """Path of the first file below an ``experiment`` folder, without its suffix."""
    files = [config for config in configs if not isinstance(config, str)]  # the others are texts
    if not files:
        return "unnamed"
    path = Path(str(files[0])).with_suffix("")
    parts = path.parts
    start = parts.index("experiment") + 1 if "experiment" in parts else len(parts) - 1
    return "/".join(parts[start:])


def _parts(config: Any, class_name: str) -> list[Any]:
    parts = [part for part in config.callbacks.values() if part is not None]
    return [part for part in parts if str(part.class_path).endswith(f".{class_name}")]


def run(args: ArgsType = None, program: type[SteadyEarCLI] = SteadyEarCLI) -> SteadyEarCLI:
    """Parse the command line, build everything, and run the stage.

    Args:
        args: Arguments as on the command line; ``None`` takes the real ones.
        program: What does it.
    """
    silence_library_output()
    return program(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        # Attacks need gradients in validation and test.
        trainer_defaults={"inference_mode": False},
        save_config_callback=RunRecord,
        save_config_kwargs={"save_to_log_dir": False},
        parser_kwargs={
            "prog": "steadyear",
            "description": "Train audio models, attack them, and compare their robustness.",
            "version": version("steadyear"),
        },
        args=args,
    )
