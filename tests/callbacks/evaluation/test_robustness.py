"""Robustness evaluation: its table, its figures, and when it runs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, Trainer
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, r2_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from steadyear.attacks import FGSM, L2, PGD, EmbeddingDissimilarity, Linf, Noise, View
from steadyear.callbacks import BatchKeys, RobustnessEvaluation
from steadyear.lightning_modules import A2M2E, RegressionModule
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.own_modules import waveform_module

BUDGETS = [0.3, 0.1]
CELLS = [(name, budget) for name in ("noise", "fgsm", "pgd") for budget in sorted(BUDGETS)]


def attacks():
    # Signs, so that every attack stays comparable; noise may be worse than FGSM on a single clip.
    return {"noise": Noise(Linf()), "fgsm": FGSM(Linf()), "pgd": PGD(Linf(), steps=3)}


class Embed(nn.Sequential):
    embedding_dim = 6

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Tanh())


class Data(LightningDataModule):
    """Spectrograms of 33 clips, with names, numbered from the last to the first."""

    clip_ids = tuple(f"clip{i:02}" for i in range(33))
    target_names = ("valence", "energy")
    concept_names = ("a", "b", "c")

    def __init__(self, batch_size=8, repeats=0):
        super().__init__()
        self.batch_size, self.repeats = batch_size, repeats
        generator = torch.Generator().manual_seed(3)
        self.spectrogram = torch.randn(33, 1, 2, 3, generator=generator)
        self.target = torch.randn(33, 2, generator=generator)
        self.concepts = torch.randn(33, 3, generator=generator)

    def item(self, i):
        names = ("spectrogram", "target", "concepts")
        return {name: getattr(self, name)[i] for name in names} | {"index": torch.tensor(i)}

    def test_dataloader(self):
        order = [*reversed(range(33)), *range(self.repeats)]
        return DataLoader([self.item(i) for i in order], batch_size=self.batch_size)

    val_dataloader = test_dataloader

    def train_dataloader(self):
        return DataLoader([self.item(i) for i in range(8)], batch_size=4)


def regression():
    torch.manual_seed(5)
    return RegressionModule(Embed(), lambda dim: A2M2E(dim, 2, 3), concept_weight=0.5)


def evaluate(tmp_path, data=None, callback=None, module=None):
    callback = callback or RobustnessEvaluation(attacks(), BUDGETS)
    trainer = foreign.trainer(tmp_path, callback)
    trainer.test(module or regression(), data or Data(), verbose=False)
    return pd.read_parquet(tmp_path / "robustness.parquet"), trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    table, trainer = evaluate(folder)
    figures = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return folder, table, figures


def test_schema_and_metadata(run):
    folder, table, _ = run
    schema = pq.read_schema(folder / "robustness.parquet")
    kinds = {"clip": "string", "index": "int64", "budget": "double", "success": "bool"}
    assert {name: str(schema.field(name).type) for name in kinds} == kinds
    assert str(schema.field("clean_prediction").type) == "list<element: double>"
    assert json.loads(schema.metadata[b"steadyear"]) == {
        "target_names": ["valence", "energy"],
        "concept_names": ["a", "b", "c"],
        "part_names": ["a", "b", "c"],
        "part_r2": [],
        "stage": "test",
        "task": "regression",
    }
    assert sorted(path.name for path in folder.iterdir()) == ["robustness.parquet", "sanity.json"]
    assert list(dict.fromkeys(zip(table["attack"], table["budget"], strict=True))) == CELLS
    for _, cell in table.groupby(["attack", "budget"]):
        assert cell["index"].tolist() == list(range(33))
        assert cell["clip"].tolist() == list(Data.clip_ids)
    assert table["snr_db"].isna().all()
    assert set(table["domain"]) == {"spectrogram"}
    assert set(table["norm"]) == {"linf"}


@pytest.mark.parametrize(("attack", "budget"), CELLS)
def test_values_are_those_of_the_model(run, attack, budget):
    _, table, _ = run
    module, data = regression().eval(), Data()
    result = attacks()[attack].at(budget)(
        module, data.spectrogram, data.target, index=torch.arange(33)
    )
    with torch.no_grad():
        clean, attacked = module(data.spectrogram), module(result.adversarial)
    cell = table[(table["attack"] == attack) & (table["budget"] == budget)]
    expected = {
        "target": data.target,
        "target_concepts": data.concepts,
        "clean_prediction": clean.prediction,
        "attacked_prediction": attacked.prediction,
        "clean_concepts": clean.concepts,
        "attacked_concepts": attacked.concepts,
        "clean_error": (clean.prediction - data.target).abs().mean(1),
        "attacked_error": (attacked.prediction - data.target).abs().mean(1),
        "achieved_linf": result.perturbation.flatten(1).abs().amax(1),
        "achieved_l2": result.perturbation.flatten(1).norm(dim=1),
    }
    for name, values in expected.items():
        found = np.stack(cell[name].tolist())
        np.testing.assert_allclose(found, values.detach().numpy(), atol=1e-5, err_msg=name)
    assert cell["success"].tolist() == result.success.tolist()
    assert set(cell["gradient_queries"]) == {{"noise": 0, "fgsm": 1, "pgd": 3}[attack]}
    assert (cell["achieved_linf"] <= budget + 1e-6).all()
    assert (cell["achieved_linf"] > 0.9 * budget).all()


def scores(prediction, target):
    prediction, target = np.stack(prediction.tolist()), np.stack(target.tolist())
    correlation = [pearsonr(prediction[:, i], target[:, i]).statistic for i in range(2)]
    return {
        "pearson": np.mean(correlation),
        "mae": mean_absolute_error(target, prediction),
        "r2": r2_score(target, prediction),
    }


def test_figures_equal_those_of_the_table(run):
    _, table, figures = run
    for (attack, budget), cell in table.groupby(["attack", "budget"]):
        expected = scores(cell["attacked_prediction"], cell["target"]) | {
            name: cell[name].mean() for name in ("success", "achieved_linf", "achieved_l2")
        }
        for name, value in expected.items():
            assert figures[f"test/{attack}@{budget:g}/{name}"] == pytest.approx(value, rel=1e-5)
    for name, value in scores(cell["clean_prediction"], cell["target"]).items():
        assert figures[f"test/clean/{name}"] == pytest.approx(value, rel=1e-5)
        assert figures[f"test/{name}"] == pytest.approx(value, rel=1e-4)
    assert "test/pgd@0.1/snr_db" not in figures


@pytest.mark.parametrize("budget", BUDGETS)
def test_worst_takes_the_worst_attack_of_each_clip(run, budget):
    _, table, figures = run
    rows = [
        max((row for _, row in clip.iterrows()), key=lambda row: row["attacked_error"])
        for _, clip in table[table["budget"] == budget].groupby("index")
    ]
    worst = pd.DataFrame(rows)
    assert worst["attack"].nunique() > 1
    expected = scores(worst["attacked_prediction"], worst["target"])
    for name, value in expected.items():
        assert figures[f"test/worst@{budget:g}/{name}"] == pytest.approx(value, rel=1e-5)
    assert figures[f"test/worst@{budget:g}/mae"] > figures[f"test/pgd@{budget:g}/mae"]


def test_table_does_not_depend_on_the_batch_size(tmp_path):
    tables = [evaluate(tmp_path / str(size), Data(size))[0] for size in (4, 7)]
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)


def test_repeated_clips_count_once(run, tmp_path):
    table, trainer = evaluate(tmp_path, Data(repeats=5))
    pd.testing.assert_frame_equal(table, run[1], rtol=0, atol=1e-5)
    for name in ("test/pearson", "test/clean/mae", "test/pgd@0.3/mae"):
        assert trainer.callback_metrics[name].item() == pytest.approx(run[2][name], rel=1e-5)


def test_inference_mode_is_refused(tmp_path):
    trainer = foreign.trainer(
        tmp_path, RobustnessEvaluation(attacks(), BUDGETS), inference_mode=True
    )
    for stage in (trainer.test, trainer.validate):
        with pytest.raises(MisconfigurationException, match=r"trainer\.inference_mode to false"):
            stage(regression(), Data(), verbose=False)
    # Validation inside fit is no inference mode.
    inside = RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1], every_n_epochs=1)
    foreign.trainer(tmp_path, inside, inference_mode=True, max_epochs=1).fit(regression(), Data())
    assert (tmp_path / "robustness-val.parquet").is_file()


@pytest.mark.parametrize(
    ("every", "epochs"), [(None, []), (1, [0, 1, 2, 3]), (2, [0, 2]), (3, [0, 3])]
)
def test_every_nth_validation_of_a_fit(tmp_path, every, epochs):
    seen = []

    class Watched(RobustnessEvaluation):
        def finish(self, trainer, *args):
            seen.append((trainer.current_epoch, len(self._table.rows), trainer.sanity_checking))
            super().finish(trainer, *args)

    callback = Watched({"fgsm": FGSM(Linf())}, [0.1], every_n_epochs=every)
    trainer = foreign.trainer(tmp_path, callback, max_epochs=4, num_sanity_val_steps=2)
    trainer.fit(regression(), Data())
    assert seen == [(epoch, 33, False) for epoch in epochs]
    assert ("val/fgsm@0.1/pearson" in trainer.callback_metrics) == bool(epochs)


def test_validate_is_evaluated_and_kept_apart(tmp_path):
    trainer = foreign.trainer(tmp_path, RobustnessEvaluation(attacks(), BUDGETS))
    trainer.validate(regression(), Data(), verbose=False)
    assert "val/worst@0.1/pearson" in trainer.callback_metrics
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "robustness-val.parquet",
        "sanity-val.json",
    ]
    meaning = json.loads(pq.read_schema(tmp_path / "robustness-val.parquet").metadata[b"steadyear"])
    assert meaning["stage"] == "val"


def test_an_interrupted_evaluation_leaves_nothing_behind(tmp_path):
    class Breaks(foreign.Foreign):
        def on_test_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
            raise RuntimeError("broken")

    callback = RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1])
    trainer = foreign.trainer(tmp_path, callback)
    with pytest.raises(RuntimeError, match="broken"):
        trainer.test(foreign.seeded(Breaks), foreign.loader(), verbose=False)
    module = foreign.seeded(foreign.Foreign)
    foreign.trainer(tmp_path, callback).fit(module, foreign.loader(), foreign.loader())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_table(run, tmp_path, monkeypatch):
    def fail(table, path):
        path.write_text("half a fi")
        raise OSError("disk full")

    path = tmp_path / "robustness.parquet"
    path.write_text("old")
    monkeypatch.setattr("steadyear.foundation.records.pq.write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        evaluate(tmp_path)
    assert path.read_text() == "old"


def test_foreign_data_without_names_numbers_and_scores(tmp_path):
    callback = RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1])
    module = foreign.seeded(foreign.Foreign)
    table, trainer = evaluate(tmp_path, foreign.loader(33, 7), callback, module)
    assert table["clip"].tolist() == [str(i) for i in range(33)]
    assert table["index"].tolist() == list(range(33))
    figures = trainer.callback_metrics
    error = table["attacked_error"].mean()
    assert figures["test/fgsm@0.1/error"].item() == pytest.approx(error, rel=1e-5)
    assert figures["test/clean/error"].item() < error


def test_foreign_batches_may_differ_in_size(tmp_path):
    data = TensorDataset(*foreign.tensors(8))
    loader = DataLoader(data, batch_sampler=[[0, 1, 2], [3], [4, 5, 6], [7]])
    callback = RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1])
    table, _ = evaluate(tmp_path, loader, callback, foreign.seeded(foreign.Foreign))
    assert table["index"].tolist() == list(range(8))
    np.testing.assert_allclose(np.stack(table["target"].tolist()), data.tensors[1], rtol=1e-6)


def test_classes_are_scored_by_their_error_rate(tmp_path):
    from steadyear.attacks import CrossEntropy

    x, y = foreign.tensors(33)
    loader = DataLoader(TensorDataset(x, (y[:, 0] > 0).long()), batch_size=8)
    callback = RobustnessEvaluation({"pgd": PGD(Linf(), CrossEntropy(), steps=2)}, [0.0, 1.0])
    module = foreign.seeded(foreign.Foreign)
    table, trainer = evaluate(tmp_path, loader, callback, module)
    with torch.no_grad():
        wrong = (module(x).argmax(1) != (y[:, 0] > 0).long()).double()
    assert table["clean_error"].tolist() == wrong.tolist() * 2
    assert trainer.callback_metrics["test/pgd@0/error"].item() == pytest.approx(wrong.mean().item())
    assert trainer.callback_metrics["test/pgd@1/error"].item() > wrong.mean().item()


class Waves(Data):
    def __init__(self, batch_size=8):
        super().__init__(batch_size)
        self.waveform = 0.1 * torch.randn(33, 320, generator=torch.Generator().manual_seed(8))

    def item(self, i):
        item = super().item(i)
        del item["spectrogram"]
        return item | {"waveform": self.waveform[i]}


def test_waveforms_have_a_signal_to_noise_ratio_and_spectrograms_have_none(tmp_path):
    inner = FGSM(Linf(), view=View(perturb_at="frontend"))
    callback = RobustnessEvaluation({"wave": FGSM(L2()), "inner": inner}, [0.02])
    table, trainer = evaluate(tmp_path, Waves(), callback, waveform_module(800))
    wave, inner = table[table["attack"] == "wave"], table[table["attack"] == "inner"]
    assert set(zip(table["domain"], table["norm"], strict=True)) == {
        ("waveform", "l2"),
        ("frontend", "linf"),
    }
    expected = 20 * np.log10(Waves().waveform.norm(dim=1).numpy() / 0.02)
    np.testing.assert_allclose(wave["snr_db"], expected, atol=1e-3)
    assert inner["snr_db"].isna().all()
    figures = trainer.callback_metrics
    assert figures["test/wave@0.02/snr_db"].item() == pytest.approx(expected.mean(), abs=1e-3)
    assert "test/inner@0.02/snr_db" not in figures
    # Budgets of different domains are never in one column.
    assert not [name for name in figures if "worst" in name]


def test_two_loaders_are_refused(tmp_path):
    trainer = foreign.trainer(tmp_path, RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1]))

    class Two(foreign.Foreign):
        def test_step(self, batch, batch_idx, dataloader_idx=0):
            pass

    with pytest.raises(MisconfigurationException, match="one dataloader"):
        trainer.test(Two(), [foreign.loader(), foreign.loader()], verbose=False)


@pytest.mark.parametrize(
    ("names", "budgets"),
    [({}, [0.1]), (attacks(), []), (attacks(), [0.1, 0.1]), (attacks(), [-0.1])],
)
def test_empty_repeated_or_negative_settings_are_refused(names, budgets):
    with pytest.raises(ValueError, match="at least one attack and distinct budgets"):
        RobustnessEvaluation(names, budgets)


def test_a_second_evaluation_is_refused_before_it_overwrites_the_first(tmp_path):
    both = [RobustnessEvaluation({name: FGSM(Linf())}, [0.1]) for name in ("a", "b")]
    trainer = foreign.trainer(tmp_path, *both)
    for stage in (trainer.fit, trainer.validate, trainer.test):
        with pytest.raises(MisconfigurationException, match=r"2 RobustnessEvaluation.*`attacks`"):
            stage(regression(), Data())
    assert list(tmp_path.iterdir()) == []


def test_missing_keys_are_named(tmp_path):
    callback = RobustnessEvaluation({"fgsm": FGSM(Linf())}, [0.1], BatchKeys("sound"))
    with pytest.raises(ValueError, match=r"no sound.*keys\.input"):
        evaluate(tmp_path, callback=callback)


def test_an_attack_on_the_embedding_is_judged_by_its_predictions(tmp_path):
    attack = PGD(Linf(), EmbeddingDissimilarity(), steps=3, view=View(read_at="network"))
    table, _ = evaluate(tmp_path, callback=RobustnessEvaluation({"embedding": attack}, [0.3]))
    module, data = regression().eval(), Data()
    result = attack.at(0.3)(module, data.spectrogram, index=torch.arange(33))
    with torch.no_grad():
        expected = module(result.adversarial).prediction
    np.testing.assert_allclose(np.stack(table["attacked_prediction"]), expected, atol=1e-5)
    error = (expected - data.target).abs().mean(1)
    np.testing.assert_allclose(table["attacked_error"], error, atol=1e-5)


@pytest.mark.parametrize("view", [View(perturb_at="netwrk"), View(read_at="netwrk")])
def test_wrong_views_are_refused_before_training(tmp_path, view):
    callback = RobustnessEvaluation({"a": PGD(Linf(), view=view)}, [0.1])
    trainer = Trainer(
        max_epochs=1,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
    )
    with pytest.raises(MisconfigurationException, match="netwrk"):
        trainer.fit(foreign.Foreign(), foreign.loader(8, 4))
