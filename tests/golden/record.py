"""Writes the golden files anew: ``python tests/golden/record.py``, in the root of the repository.

Only where a figure is meant to change; say why in the commit. The difference of the files shows
which ones did. A row of an attack whose figures depend on the last bits of its clips is refused:
on another processor it would be another one. Choose another budget or number of steps for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

FOLDER = Path(__file__).resolve().parent


from tests.golden import (
    attack_streams,  # noqa: F401 (enters its streams)
    data_streams,  # noqa: F401 (enters its streams)
    golden_attacks,
    result_streams,  # noqa: F401 (enters its streams)
)
from tests.golden import (
    streams as registry,
)


def attacks() -> dict[str, Any]:
    """Figures of all attacks.

    Raises:
        SystemExit: If some of them depend on rounding.
    """
    rows = {name: golden_attacks.measure(name) for name in golden_attacks.ROWS}
    jitters = (golden_attacks.JITTER, -golden_attacks.JITTER)
    unsteady = [
        name
        for name, figures in rows.items()
        if not all(
            golden_attacks.agree(golden_attacks.measure(name, jitter), figures)
            for jitter in jitters
        )
    ]
    if unsteady:
        raise SystemExit("These rows depend on rounding:\n" + "\n".join(unsteady))
    return {"rows": rows, "costs": golden_attacks.costs()}


def streams() -> dict[str, Any]:
    """Values of all keyed random numbers."""
    found = {}
    for name in registry.STREAMS:
        with TemporaryDirectory() as folder:
            found[name] = registry.numbers(name, Path(folder))
    return found


def text(value: Any, depth: int = 0) -> str:
    """JSON with one line for every list, so that differences can be read."""
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    space = "  " * (depth + 1)
    lines = [f"{space}{json.dumps(key)}: {text(each, depth + 1)}" for key, each in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for _name, _figures in {"auto_attack": attacks, "random_streams": streams}.items():
        path = FOLDER / f"{_name}.json"
        path.write_text(text(_figures()) + "\n", encoding="utf-8")
