"""Examples made on one system and tested on the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from steadyear.__main__ import main
from steadyear.compare.load.find import find_runs
from steadyear.compare.load.groups import group
from steadyear.compare.load.runs import read_run
from steadyear.foundation.task import per_clip_error
from steadyear.transfer.choice import attack_of, choose
from steadyear.transfer.command import run_transfer
from steadyear.transfer.matrix import CONTROL, ITSELF, matrix
from steadyear.transfer.restore import restore
from tests.small_runs import working_in

DEMO = Path(__file__).resolve().parents[3] / "configs" / "experiment" / "demo"
TINY = {
    "model": {"init_args": {"network": {"init_args": {"width": 0.05}}}},
    "data": {"init_args": {"batch_size": 4, "excerpt_seconds": 2.0, "num_clips": [8, 4, 6]}},
    "trainer": {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False},
    "callbacks": {"robustness": {"init_args": {"budgets": [0.02, 0.05]}}, "predictions": None},
    "logger": {"wandb": None},
}
RUNS = (("a2e", 0), ("a2e", 1), ("a2m2e", 0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds of one system and one of another, tested, and then moved elsewhere."""
    folder = tmp_path_factory.mktemp("transfer")
    with working_in(folder):
        Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
        for system, seed in RUNS:
            arguments = ["--config", str(DEMO / f"{system}.yaml"), "--config", "tiny.yaml"]
            arguments += ["--seed_everything", str(seed), "--run", f"seed{seed}"]
            main(["fit", *arguments])
            main(["test", *arguments])
        yield Path("runs").rename("moved").resolve() / "demo"


@pytest.fixture(scope="module")
def made(trained):
    run_transfer([trained], Path("report"), "pgd", 0.05)
    return pd.read_parquet("report/transfer.parquet")


@pytest.fixture
def copied(trained, tmp_path, monkeypatch):
    """A copy that a test may damage."""
    monkeypatch.setenv("STEADYEAR_CACHE", str(trained.parents[1] / "cache"))
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained, tmp_path / "demo")


def rows_of(frame: pd.DataFrame, **chosen: object) -> pd.DataFrame:
    for column, value in chosen.items():
        frame = frame[frame[column].isna() if value is None else frame[column] == value]
    return frame.set_index("clip").sort_index()


def recorded(trained: Path, system: str, seed: int, attack: str, budget: float) -> pd.DataFrame:
    table = pd.read_parquet(trained / system / f"seed{seed}" / "robustness.parquet")
    return rows_of(table, attack=attack, budget=budget)


@pytest.mark.parametrize(("system", "seed"), RUNS)
def test_white_box_and_noise_are_what_the_test_recorded(system, seed, trained, made):
    target = {"target": system, "target_seed": seed}
    for rows, attack in (
        (rows_of(made, source=system, source_seed=seed, **target), "pgd"),
        (rows_of(made, source="noise", source_seed=None, **target), "noise"),
    ):
        before = recorded(trained, system, seed, attack, 0.05)
        assert list(rows.index) == list(before.index)
        for column in ("clean_error", "attacked_error"):
            np.testing.assert_allclose(rows[column], before[column], atol=1e-5)


def test_every_pair_is_there_and_agrees_with_single_clips(trained, made):
    """Against a loop that makes and tests each example by itself."""
    assert len(made) == (3 * 3 + 3) * 6
    assert list(made.columns) == [
        "source", "source_seed", "target", "target_seed", "clip", "clean_error", "attacked_error",
    ]  # fmt: skip
    assert not made.isna().drop(columns="source_seed").any().any()
    runs = [read_run(trained / system / f"seed{seed}") for system, seed in RUNS]
    source, _, target = (restore(run.system, run) for run in runs)
    source.data.frontend = source.module.frontend
    source.data.batch_size = 1
    source.data.setup("test")
    attack = attack_of(source, choose(runs, "pgd", 0.05))
    rows = rows_of(made, source="a2e", source_seed=0, target="a2m2e", target_seed=0)
    for batch in source.data.test_dataloader():
        x, truth = batch["spectrogram"], batch["target"]
        example = attack(source.module, x, truth, index=batch["index"]).adversarial
        with torch.no_grad():
            error = per_clip_error(target.module(example).prediction, truth)
        name = source.data.clip_ids[int(batch["index"])]
        assert float(error) == pytest.approx(rows.loc[name, "attacked_error"], abs=1e-5)


def test_page_and_terminal_name_systems_attack_and_control(trained, made, capsys):
    """The attack that is chosen by default is that of ``made``: every byte is the same."""
    main(["transfer", str(trained), "--out", "default"])
    shown = capsys.readouterr().out
    for words in ("pgd at 0.05 z-units", "a2m2e", CONTROL, ITSELF, "default/index.html"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 100
    for path in Path("report").iterdir():
        assert path.read_bytes() == (Path("default") / path.name).read_bytes()
    page = Path("default/index.html").read_text()
    assert page.count("data:image/png;base64") == 2
    assert "<script" not in page
    assert CONTROL in page
    meaning = pq.read_schema("default/transfer.parquet").metadata[b"steadyear"]
    assert b'"name": "pgd"' in meaning
    assert b'"budget": 0.05' in meaning


def frame_of(damage: dict[tuple[str, int | None, str, int], float]) -> pd.DataFrame:
    keys = ("source", "source_seed", "target", "target_seed")
    rows = [
        {**dict(zip(keys, pair, strict=True)), "clip": clip, "clean_error": clean}
        | {"attacked_error": clean + value * (0.5 if clip == "x" else 1.5)}
        for pair, value in damage.items()
        for clip, clean in (("x", 0.1), ("y", 0.3))
    ]
    return pd.DataFrame(rows).astype({"source_seed": "Int64"})


def test_matrix_by_hand():
    found = matrix(
        frame_of(
            {
                ("noise", None, "a", 0): 0.01, ("noise", None, "a", 1): 0.03,
                ("noise", None, "noise", 0): 0.0,
                ("a", 0, "a", 0): 0.4, ("a", 0, "a", 1): 0.1, ("a", 0, "noise", 0): 0.02,
                ("a", 1, "a", 0): 0.3, ("a", 1, "a", 1): 0.2, ("a", 1, "noise", 0): 0.06,
                ("noise", 0, "a", 0): 0.2, ("noise", 0, "a", 1): 0.0, ("noise", 0, "noise", 0): -0.1,
            }
        )
    )  # fmt: skip
    assert found.targets == ("a", "noise")
    assert found.sources == (ITSELF, "a", "noise", CONTROL)
    close = pytest.approx
    assert found.clean["a"].mean == close(0.2)
    assert (found.clean["a"].n, found.clean["noise"].n) == (2, 1)
    own = found.damage[ITSELF, "a"]
    assert (own.mean, own.std) == (close(0.3), close(0.1))
    other_seed = found.damage["a", "a"]
    assert (other_seed.n, other_seed.mean, other_seed.std) == (2, close(0.2), close(0.1))
    assert found.share["a", "a"].mean == close((100 * 0.3 / 0.4 + 100 * 0.1 / 0.2) / 2)
    assert found.share["noise", "a"].mean == close(25)
    assert found.damage[CONTROL, "a"].mean == close(0.02)
    # One seed has no other seed, and without damage of its own a target has no measure.
    assert ("noise", "noise") not in found.damage
    assert np.isnan(found.share["a", "noise"].mean)


def test_the_strongest_bounded_gradient_attack_is_chosen(trained):
    runs = [
        run for each in group([read_run(f) for f in find_runs([trained])[0]]) for run in each.runs
    ]
    cell = choose(runs, None, None)
    means = {
        name: np.mean([recorded(trained, *run, name, 0.05)["attacked_error"] for run in RUNS])
        for name in ("fgsm", "pgd")
    }
    assert (cell.attack.name, cell.budget) == (max(means, key=means.get), 0.05)
    assert choose(runs, "noise", None).attack.name == "noise"
    assert choose(runs, "fgsm", 0.3).budget == 0.3
    unbounded = cell._replace(attack=cell.attack._replace(name="as_run"), budget=float("inf"))
    for run in runs:
        run.attacked[unbounded] = run.attacked[cell]
    assert choose(runs, None, None) == cell
    assert choose(runs, "as_run", None) == unbounded
    with pytest.raises(ValueError, match="as_run is unbounded and takes no --budget"):
        choose(runs, "as_run", 0.1)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        main(["transfer", *map(str, arguments)])
    assert end.value.code not in (0, None)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_missing_files_are_named(copied, capsys):
    (copied / "a2m2e/seed0/checkpoints/best.ckpt").unlink()
    error = refused(capsys, copied)
    assert "a2m2e/seed0/checkpoints/best.ckpt" in error
    assert "train and test" in error
    (copied / "a2m2e/seed0/config-test.yaml").unlink()
    error = refused(capsys, copied)
    assert "a2m2e/seed0/config-test.yaml" in error
    assert "imported logs" in error


def test_wrong_words_are_answered(copied, capsys):
    error = refused(capsys, copied, "--attack", "pdg")
    assert "not attacked with 'pdg'; it has: fgsm, noise, pgd" in error
    assert "takes no --budget -1" in refused(capsys, copied, "--budget", "-1")
    assert "only run" in refused(capsys, copied / "a2m2e")
    Path("file").touch()
    assert "file is a file" in refused(capsys, copied, "--out", "file")


def change_scale(run: Path, factor: float) -> None:
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["frontend.std"] *= factor
    torch.save(checkpoint, path)


def test_other_scales_and_settings_are_refused(copied, capsys):
    run = copied / "a2e/seed1"
    shutil.rmtree(copied / "a2m2e")
    change_scale(run, 1.01)
    error = refused(capsys, copied)
    assert "a z-unit is" in error
    assert "a2e/seed1" in error
    change_scale(run, 1 / 1.01)
    config = yaml.safe_load((run / "config-test.yaml").read_text())
    attacks = config["callbacks"]["robustness"]["init_args"]["attacks"]
    attacks["pgd"]["init_args"]["steps"] = 3
    (run / "config-test.yaml").write_text(yaml.safe_dump(config))
    error = refused(capsys, copied, "--attack", "pgd")
    assert "pgd is not the same attack" in error
    assert "a2e/seed1/config-test.yaml" in error
    del config["callbacks"]["robustness"]
    (run / "config-test.yaml").write_text(yaml.safe_dump(config))
    assert "no RobustnessEvaluation" in refused(capsys, copied, "--attack", "pgd")


def test_a_checkpoint_that_changed_since_the_test_is_refused(copied, capsys):
    shutil.rmtree(copied / "a2m2e")
    source, target = (copied / f"a2e/seed{seed}/checkpoints/best.ckpt" for seed in (0, 1))
    shutil.copy(source, target)
    error = refused(capsys, copied)
    assert "a2e/seed1 no longer predicts" in error
    assert "Test both again" in error


def test_a_configuration_that_does_not_fit_is_named(copied, capsys):
    shutil.rmtree(copied / "a2m2e")
    path = copied / "a2e/seed1/config-test.yaml"
    text = path.read_text()
    path.write_text(text.replace("width: 0.05", "width: 0.1"))
    error = refused(capsys, copied)
    assert "does not fit the model of" in error
    assert "a2e/seed1/config-test.yaml" in error
    path.write_text(text.replace("width: 0.05", "widht: 0.05"))
    error = refused(capsys, copied)
    assert "widht" in error
    assert "a2e/seed1/config-test.yaml cannot be built again" in error
