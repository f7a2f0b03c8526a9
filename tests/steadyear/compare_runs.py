"""Write synthetic run folders that look like those of `steadyear test`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GRID = tuple((name, budget) for name in ("noise", "fgsm", "pgd") for budget in (0.01, 0.03, 0.1))
TARGETS = ("valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender")
CONCEPTS = ("melody", "articulation", "rhythm", "dissonance", "minor")
POWER = {"noise": 0.2, "fgsm": 2.0, "pgd": 5.0}


def write_run(
    root: Path,
    system: str = "a2e",
    seed: int = 0,
    *,
    experiment: str = "demo",
    name: str | None = None,
    clips: int = 12,
    targets: Sequence[str] = TARGETS[:2],
    concepts: Sequence[str] = (),
    grid: Sequence[tuple[str, float]] = GRID,
    weakness: float = 1.0,
    shift: float | None = None,
    constant: bool = False,
    data_seed: int = 0,
) -> Path:
    """Write one run folder.

    With `shift`, an attack at budget b moves every output by exactly shift * b; without it by
    random amounts that grow with budget and weakness.
    """
    name = name or f"{system}-seed{seed}"
    folder = root / experiment / name
    folder.mkdir(parents=True)
    truth = np.random.default_rng(data_seed)
    draw = np.random.default_rng([seed, *system.encode()])
    target = truth.uniform(0, 1, (clips, len(targets)))
    true_concepts = truth.normal(size=(clips, len(concepts)))
    clean = target + draw.normal(scale=0.1, size=target.shape)
    if constant:
        clean[:, 0] = 0.5
    clean_concepts = true_concepts + draw.normal(scale=0.3, size=true_concepts.shape)
    rows: list[dict[str, Any]] = []
    for attack, budget in grid:
        size = weakness * POWER[attack] * budget
        moved = clean + draw.normal(loc=0.3 * size, scale=size, size=clean.shape)
        if shift is not None:
            moved = clean + shift * budget
        moved_concepts = clean_concepts + draw.normal(scale=size, size=clean_concepts.shape)
        rows += [
            {
                "clip": f"{clip:03d}.mp3",
                "index": int(clip),
                "attack": attack,
                "domain": "spectrogram",
                "norm": "linf",
                "budget": budget,
                "achieved_linf": budget,
                "achieved_l2": budget * 200,
                "snr_db": None,
                "target": target[clip],
                "clean_prediction": clean[clip],
                "attacked_prediction": moved[clip],
                "target_concepts": true_concepts[clip] if concepts else None,
                "clean_concepts": clean_concepts[clip] if concepts else None,
                "attacked_concepts": moved_concepts[clip] if concepts else None,
                "clean_error": np.abs(clean - target)[clip].mean(),
                "attacked_error": np.abs(moved - target)[clip].mean(),
                "success": bool(clip % 2),
                "gradient_queries": {"noise": 0, "fgsm": 1, "pgd": 40}[attack],
            }
            for clip in draw.permutation(clips)
        ]
    write_table(folder, rows, targets, concepts)
    facts = {
        "experiment": experiment,
        "run": name,
        "seed": seed,
        "system": system,
        "fit_seconds": 100.0 + 20 * seed,
        "epochs": 20,
        "parameters": 12345,
        "device": "cpu",
        "versions": {"torch": "2.11.0", "lightning": "2.6.6"},
        "created": "2026-01-01T12:00:00",
    }
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def write_table(
    folder: Path, rows: list[dict[str, Any]], targets: Sequence[str], concepts: Sequence[str]
) -> None:
    """Write rows as `robustness.parquet` with the names in its metadata."""
    lists = {
        name: pa.list_(pa.float32())
        for name in (
            "target",
            "clean_prediction",
            "attacked_prediction",
            "target_concepts",
            "clean_concepts",
            "attacked_concepts",
        )
    }
    types = lists | {"snr_db": pa.float64(), "index": pa.int64()}
    columns = {key: pa.array([row[key] for row in rows], types.get(key)) for key in rows[0]}
    names = {"target_names": list(targets), "concept_names": list(concepts), "stage": "test"}
    table = pa.table(columns).replace_schema_metadata({"steadyear": json.dumps(names)})
    pq.write_table(table, folder / "robustness.parquet")
