"""Write synthetic run folders that look like those of `steadyear test`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import label_ranking_average_precision_score

GRID = tuple((name, budget) for name in ("noise", "fgsm", "pgd") for budget in (0.01, 0.03, 0.1))
TARGETS = ("valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender")
CONCEPTS = ("melody", "articulation", "rhythm", "dissonance", "minor")
BIRDS = ("wren", "robin", "tit", "owl", "crow", "finch", "swift", "dodo")
POWER = {"noise": 0.2, "fgsm": 2.0, "pgd": 5.0}


def attacked_row(
    clip: int,
    kind: str,
    attack: str,
    budget: float,
    target: np.ndarray,
    clean: np.ndarray,
    moved: np.ndarray,
) -> dict[str, Any]:
    """The columns of an attacked clip that all tasks have; no concepts."""
    return {
        "clip": f"{clip:03d}.{kind}",
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
        "target_concepts": None,
        "clean_concepts": None,
        "attacked_concepts": None,
        "success": bool(clip % 2),
        "gradient_queries": {"noise": 0, "fgsm": 1, "pgd": 40}[attack],
    }


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
    parts: Sequence[str] = (),
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
        shares = draw.normal(size=(*clean.shape, len(parts))) if parts else np.zeros((clips, 1, 0))
        if parts:
            shares[..., -1] = moved - clean - shares[..., :-1].sum(axis=2)
        rows += [
            attacked_row(clip, "mp3", attack, budget, target, clean, moved)
            | {
                "clean_error": np.abs(clean - target)[clip].mean(),
                "attacked_error": np.abs(moved - target)[clip].mean(),
            }
            | (
                {
                    "target_concepts": true_concepts[clip],
                    "clean_concepts": clean_concepts[clip],
                    "attacked_concepts": moved_concepts[clip],
                }
                if concepts
                else {}
            )
            | ({"contributions": shares[clip].ravel()} if parts else {})
            for clip in draw.permutation(clips)
        ]
    write_table(folder, rows, targets, concepts, parts)
    write_facts(folder, experiment, system, seed)
    return folder


def write_facts(folder: Path, experiment: str, system: str, seed: int) -> None:
    """Write `run.json`."""
    facts = {
        "experiment": experiment,
        "run": folder.name,
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


def write_bird_run(
    root: Path,
    system: str = "ordinary",
    seed: int = 0,
    *,
    clips: int = 40,
    classes: Sequence[str] = BIRDS,
    grid: Sequence[tuple[str, float]] = GRID,
    weakness: float = 1.0,
    absent: Sequence[str] = BIRDS[-1:],
    decibels: float | None = 4.5,
    scores: bool = True,
    about: dict[str, Any] | None = None,
) -> Path:
    """Write one run folder of a multi-label task.

    Logits say the labels with noise, and attacks pull them towards the wrong labels; `absent`
    classes have no label, and every fifth clip has none.
    """
    folder = root / "birds" / f"{system}-seed{seed}"
    folder.mkdir(parents=True)
    target = (np.random.default_rng(0).random((clips, len(classes))) < 0.3).astype(float)
    target[:, [name in absent for name in classes]] = 0
    target[::5] = 0
    draw = np.random.default_rng([seed, *system.encode()])
    clean = np.round(2 * target - 1 + draw.normal(size=target.shape), 1)
    rows: list[dict[str, Any]] = []
    for attack, budget in grid:
        size = weakness * POWER[attack] * budget
        moved = clean - 2 * size * target + draw.normal(scale=size, size=clean.shape)
        errors = {"clean": clip_errors(clean, target), "attacked": clip_errors(moved, target)}
        robust = np.minimum(1, np.exp(1 - (errors["attacked"] + 1) / (errors["clean"] + 1)))
        aimed = {"drs": robust**2, "tars": robust / 2}
        rows += [
            attacked_row(clip, "ogg", attack, budget, target, clean, moved)
            | {
                "clean_error": errors["clean"][clip],
                "attacked_error": errors["attacked"][clip],
            }
            | ({"prs": robust[clip]} if scores else {})
            | {
                key: each[clip] if attack == "pgd" else None
                for key, each in aimed.items()
                if scores
            }
            for clip in draw.permutation(clips)
        ]
    meaning = {"task": "multilabel"} | ({} if decibels is None else {"z_unit_db": decibels})
    write_table(folder, rows, classes, (), about=meaning | (about or {}))
    write_facts(folder, "birds", system, seed)
    return folder


def clip_errors(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """1 - label ranking average precision, and the strongest alarm of clips without labels."""
    alarms = 1 / (1 + np.exp(-logits.max(axis=1)))
    return np.array(
        [
            1 - label_ranking_average_precision_score(labels[None], scores[None])
            if labels.any()
            else alarm
            for scores, labels, alarm in zip(logits, target, alarms, strict=True)
        ]
    )


def write_table(
    folder: Path,
    rows: list[dict[str, Any]],
    targets: Sequence[str],
    concepts: Sequence[str],
    parts: Sequence[str] = (),
    about: dict[str, Any] | None = None,
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
    types |= dict.fromkeys(("prs", "drs", "tars"), pa.float64())
    types["contributions"] = pa.list_(pa.float64())
    columns = {key: pa.array([row[key] for row in rows], types.get(key)) for key in rows[0]}
    names: dict[str, Any] = {
        "target_names": list(targets),
        "concept_names": list(concepts),
        "stage": "test",
    }
    if parts:
        names["part_names"] = list(parts)
    if "remainder" in parts:
        names["part_r2"] = [0.5] * (len(parts) - 1)
    names |= about or {}
    table = pa.table(columns).replace_schema_metadata({"steadyear": json.dumps(names)})
    pq.write_table(table, folder / "robustness.parquet")
