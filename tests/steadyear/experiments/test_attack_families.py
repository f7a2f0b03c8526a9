"""The attack families: minimal-norm attacks through fit, test and compare, and their figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from steadyear.__main__ import main
from steadyear.compare import compare
from steadyear.compare.command import terminal_text
from steadyear.compare.tables.minimal_norm import minimal_norms, survival
from tests.steadyear.compare_runs import write_run

ROOT = Path(__file__).resolve().parents[3]
FAMILIES = ROOT / "configs/callbacks/attack_families.yaml"
SIZES = {("a2e", 0): 0.01, ("a2e", 1): 0.02, ("other", 0): 0.1, ("other", 1): 0.3}


def as_minimal_norm(folder: Path, sizes: np.ndarray) -> None:
    """Turn the attack `fgsm` of a run into `fmn`; every other clip has success."""
    path = folder / "robustness.parquet"
    table = pq.read_table(path)
    frame = table.to_pandas()
    fmn = frame[(frame["attack"] == "fgsm") & (frame["budget"] == 0.1)].sort_values("index")
    # Damage beyond that of any other attack, which must not make it the headline.
    moved = [values + 100 for values in fmn["attacked_prediction"]]
    fmn = fmn.assign(attack="fmn", budget=math.inf, achieved_linf=sizes, attacked_prediction=moved)
    frame = pd.concat([frame[frame["attack"] != "fgsm"], fmn])
    names = json.loads(table.schema.metadata[b"steadyear"]) | {"minimal_norm": ["fmn"]}
    changed = pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata({"steadyear": json.dumps(names)}), path)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("minimal")
    for (system, seed), size in SIZES.items():
        as_minimal_norm(write_run(root / "runs", system, seed), size * np.arange(12))
    return root / "report", compare([root / "runs"], root / "report")


def test_the_headline_is_never_a_minimal_norm(report):
    assert report[1].headline.attack.name == "pgd"


def test_quartiles_over_flipped_clips(report):
    (found,) = minimal_norms(report[1]).values()
    a2e, other = found
    # Clips 1, 3, ... 11 were flipped, at `size` times their number.
    flipped = np.array([1, 3, 5, 7, 9, 11])
    assert a2e.spread("flipped").values == {0: 0.5, 1: 0.5}
    for norms, sizes in ((a2e, (0.01, 0.02)), (other, (0.1, 0.3))):
        for name, share in (("lower_quartile", 25), ("median", 50), ("upper_quartile", 75)):
            expected = {
                seed: np.percentile(size * flipped, share) for seed, size in enumerate(sizes)
            }
            assert norms.spread(name).values == pytest.approx(expected)
    numbers = json.loads((report[0] / "summary.json").read_text())["minimal_norm"]
    assert [(each["label"], each["cap"]) for each in numbers] == [("a2e", None), ("other", None)]
    assert numbers[0]["median"]["0"] == pytest.approx(0.06)


def test_survival_counts_clips_that_need_more(report):
    norms = np.array([0.0, 1.0, 2.0, np.inf])
    assert survival(norms, np.array([0.0, 0.5, 1.0, 3.0])).tolist() == [0.75, 0.75, 0.5, 0.25]


def test_page_and_terminal_show_them(report):
    page = (report[0] / "index.html").read_text()
    assert "Minimal norms" in page
    assert ">minimal norm<" in page
    assert (report[0] / "minimal-norm.png").read_bytes().startswith(b"\x89PNG")
    assert "0.0900±0.0300" in terminal_text(report[1])


def test_tables_without_minimal_norms_are_compared_as_before(tmp_path):
    write_run(tmp_path / "runs", "a2e", 0)
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    assert not minimal_norms(summary)
    assert "Minimal norms" not in (tmp_path / "report" / "index.html").read_text()
    assert not (tmp_path / "report" / "minimal-norm.png").exists()


def test_where_nothing_was_flipped_there_is_still_a_report(tmp_path):
    folder = write_run(tmp_path / "runs", "a2e", 0)
    as_minimal_norm(folder, np.zeros(12))
    table = pq.read_table(folder / "robustness.parquet")
    place = table.schema.get_field_index("success")
    none = pa.array([False] * len(table))
    pq.write_table(table.set_column(place, "success", none), folder / "robustness.parquet")
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    assert "0.00" in terminal_text(summary)


def test_the_families_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADYEAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("logging.raiseExceptions", False)
    robustness = yaml.safe_load(FAMILIES.read_text())
    configured = robustness["init_args"]["attacks"]
    names = {"noise", "fgsm", "pgd", "pgd_strong", "fmn_linf", "fmn_l2", "as_run"}
    for name, number in {"pgd": 2, "pgd_strong": 2, "fmn_linf": 4, "fmn_l2": 4}.items():
        configured[name]["init_args"]["steps"] = number
    configured["as_run"] = {"class_path": "SignAdam", "init_args": {"steps": 2}}
    robustness["init_args"]["budgets"] = [0.05]
    families = {"callbacks": {"robustness": robustness}}
    tiny = {
        "model": {"init_args": {"network": {"init_args": {"width": 0.05}}}},
        "data": {"init_args": {"batch_size": 4, "excerpt_seconds": 2.0, "num_clips": [8, 4, 6]}},
        "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
        "logger": {"wandb": None},
    }
    (tmp_path / "families.yaml").write_text(yaml.safe_dump(families, sort_keys=False))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    demo = str(ROOT / "configs/experiment/demo/a2e.yaml")
    arguments = [
        flag for file in (demo, "families.yaml", "tiny.yaml") for flag in ("--config", file)
    ]
    main(["fit", *arguments])
    main(["test", *arguments])
    frame = pd.read_parquet(tmp_path / "runs/demo/a2e/seed0/robustness.parquet")
    assert set(frame["attack"]) == names
    norms = frame.drop_duplicates("attack").set_index("attack")["norm"]
    assert norms[["fmn_linf", "fmn_l2", "as_run"]].tolist() == ["linf", "l2", "l2"]
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    assert [cell.attack.name for cell in minimal_norms(summary)] == ["fmn_linf", "fmn_l2"]
    assert not summary.headline.attack.minimal_norm
