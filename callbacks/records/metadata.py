"""What a table can say about the data and the module that it is of."""

from __future__ import annotations

from torch import Tensor

from steadyear.foundation.records import RecordMetadata
from steadyear.foundation.task import task_of


def metadata_of(trainer: object, module: object = None) -> RecordMetadata:
    """What a trainer's data module says about clips and names, and a module about task and units."""
    return metadata_of_data(getattr(trainer, "datamodule", None), module)


def metadata_of_data(datamodule: object, module: object = None) -> RecordMetadata:
    """Like ``metadata_of``, for a data module without a trainer."""
    fields = ("target_names", "concept_names", "clip_ids")
    targets, concepts, clips = (list(getattr(datamodule, field, ())) for field in fields)
    head, frontend = (getattr(module, name, None) for name in ("head", "frontend"))
    task, std = task_of(module), getattr(frontend, "std", None)
    supervised = getattr(head, "supervised_concepts", None) is not False
    return RecordMetadata(
        targets,
        concepts,
        clips,
        task=None if task is None else task.name,
        supervised_concepts=None if supervised else False,
        # A front end that limits its range in dB gives dB.
        z_unit_db=float(std) if hasattr(frontend, "top_db") and isinstance(std, Tensor) else None,
    )
