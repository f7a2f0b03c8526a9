"""The sanity checks beside a robustness evaluation, and those of a training."""

from __future__ import annotations

import copy
import json
import logging

import pandas as pd
import pytest
import torch
import wandb
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import WandbLogger
from torch.utils.data import DataLoader, TensorDataset

from steadyear.attacks import FGSM, PGD, CrossEntropy, Linf, Noise
from steadyear.callbacks import RobustnessEvaluation
from steadyear.callbacks.records.robustness_scores import robustness_by_condition
from steadyear.callbacks.records.worst_cases import worst_cases
from steadyear.callbacks.sanity.other_weights import with_weights
from steadyear.callbacks.sanity.report import worst_case
from steadyear.callbacks.training.overfitting_check import OverfittingCheck
from tests.callbacks import foreign_modules as foreign
from tests.callbacks.wandb_file import OfflineRun, records

BUDGETS = [0.05, 0.2]


def attacks():
    return {
        "noise": Noise(Linf()),
        "fgsm": FGSM(Linf()),
        "pgd": PGD(Linf(), steps=10, relative_step=0.2),
    }


def evaluate(folder, module, stage="test", loader=None, **settings):
    callback = RobustnessEvaluation(attacks(), BUDGETS, sanity=settings.pop("sanity", "free"))
    trainer = foreign.trainer(folder, callback, **settings)
    run = trainer.test if stage == "test" else trainer.validate
    run(module, loader or foreign.loader(), verbose=False)
    name = "sanity.json" if stage == "test" else "sanity-val.json"
    return json.loads((folder / name).read_text())


def status(report):
    return {one["name"]: one["status"] for one in report["checks"]}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sanity")
    module = foreign.seeded(foreign.Foreign).eval()
    return folder, evaluate(folder, module, sanity="full")


def test_a_healthy_module_has_no_label(healthy):
    folder, report = healthy
    assert report["counts"]["FAIL"] == 0, report
    assert report["label"] == ""
    assert report["stage"] == "test"
    assert {"worst_case", "planted", "black_box", "hard_label"} <= set(status(report))
    assert {one["name"] for one in report["skipped"]} == {
        "transfer",
        "twin",
        "catastrophic_overfitting",
    }
    assert sorted(p.name for p in folder.iterdir()) == ["robustness.parquet", "sanity.json"]


def test_free_is_the_default_and_says_what_it_left_out(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        report = evaluate(tmp_path, foreign.seeded(foreign.Foreign).eval(), "val")
    skipped = {one["name"]: one["why"] for one in report["skipped"]}
    assert skipped["planted"] == "asks for full checks"
    assert report["level"] == "free"
    assert "sanity (free):" in caplog.text


class Rounds(foreign.Foreign):
    def forward(self, x):
        return self.net(torch.round(4 * x) / 4)


class TrainMode(foreign.Noisy):
    """Left in train mode, as after a forgotten call in a hook."""

    def on_test_epoch_start(self):
        self.train()

    def test_step(self, batch, batch_idx):
        self.train()


class Detaches(foreign.Foreign):
    def forward(self, x):
        return self.net(x.detach())


@pytest.mark.parametrize(("kind", "check"), [(Rounds, "zero_gradients"), (TrainMode, "eval_mode")])
def test_a_failed_check_labels_the_score(tmp_path, kind, check):
    report = evaluate(tmp_path, foreign.seeded(kind))
    assert status(report)[check] == "FAIL"
    assert report["label"] == "upper bound only"


def test_a_broken_graph_is_named_before_the_attack_dies_of_it(tmp_path):
    module = foreign.seeded(Detaches).eval()
    with (
        pytest.warns(UserWarning, match="does not reach the attacked"),
        pytest.raises(RuntimeError, match="does not require grad"),
    ):
        evaluate(tmp_path, module)
    assert list(tmp_path.iterdir()) == []


def test_verdicts_do_not_depend_on_the_batch_size(tmp_path):
    module = foreign.seeded(foreign.Foreign).eval()
    found = [
        evaluate(tmp_path / str(size), module, loader=foreign.loader(batch_size=size))
        for size in (8, 17)
    ]
    assert status(found[0]) == status(found[1])
    values = [{one["name"]: one["value"] for one in each["checks"]} for each in found]
    for name in ("budget", "loss_rises", "converged", "monotone", "noise", "single_step"):
        assert values[0][name] == pytest.approx(values[1][name], rel=1e-3, abs=1e-6)


def test_a_worst_case_that_is_an_average_is_seen(healthy):
    folder, _ = healthy
    frame = pd.read_parquet(folder / "robustness.parquet")
    cases = worst_cases(frame, attacks())
    figures = robustness_by_condition(frame, object(), cases)
    kept = [one["values"]["gap"][0] for one in worst_case(frame, object(), figures, cases)]
    assert kept == [pytest.approx(0, abs=1e-9)] * 2
    for budget in BUDGETS:
        figures[f"worst@{budget:g}"] = figures[f"pgd@{budget:g}"]
    lost = [one["values"]["gap"][0] for one in worst_case(frame, object(), figures, cases)]
    assert max(lost) > 1e-3
    del figures["worst@0.2"]
    lost = [one["values"]["gap"][0] for one in worst_case(frame, object(), figures, cases)]
    assert lost[-1] == float("inf")


def test_wandb_gets_a_table_and_a_summary(tmp_path):
    logger = WandbLogger(save_dir=tmp_path, offline=True, project="p")
    try:
        evaluate(tmp_path / "run", foreign.seeded(Rounds).eval(), logger=logger)
    finally:
        wandb.finish()
        wandb.teardown()  # the file is complete only when its writer has ended
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    assert OfflineRun(written).last("test/sanity")["ncols"] == 6
    (file,) = written.glob("*.wandb")
    summary = {}
    for one in records(file):
        for item in one.summary.update:
            summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    assert summary["test/sanity/label"] == "upper bound only"
    assert summary["test/sanity/fail"] >= 1


def test_unknown_levels_are_refused_before_training():
    with pytest.raises(ValueError, match="'everything'"):
        RobustnessEvaluation(attacks(), BUDGETS, sanity="everything")


def overfitting(tmp_path, module, data, **more):
    check = OverfittingCheck(Linf(0.3), CrossEntropy(), **more)
    trainer = foreign.trainer(tmp_path, check, max_epochs=3)
    trainer.fit(module, DataLoader(data, batch_size=16))
    report = json.loads((tmp_path / "sanity-fit.json").read_text())
    return trainer, report


class FoolsOneStep(foreign.Foreign):
    """A logit whose slope at the clean clip points away from its boundary."""

    def forward(self, x):
        z = x[:, 0]
        away = 0.2 * torch.sin(20 * z) + 0 * self.net(x)[:, 0]
        return torch.stack([away, -away], 1)

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).square().mean()


def test_catastrophic_overfitting_is_seen_and_stops_the_training(tmp_path):
    # One step of 0.3 from pi/60 lands on a crest again; small steps find the trough on the way.
    x = torch.zeros(16, 6)
    x[:, 0] = torch.pi / 60
    data = TensorDataset(x, torch.zeros(16, dtype=torch.int64))
    module = foreign.seeded(FoolsOneStep)
    with pytest.warns(UserWarning, match="Catastrophic overfitting"):
        trainer, report = overfitting(tmp_path, module, data, stop=True)
    assert status(report) == {"catastrophic_overfitting": "FAIL"}
    assert trainer.current_epoch == 1
    metrics = trainer.callback_metrics
    assert metrics["sanity/single_step_error"] == 0
    assert metrics["sanity/ten_step_error"] == 1
    assert report["stage"] == "fit"


def test_a_linear_model_does_not_overfit(tmp_path):
    x, _ = foreign.tensors()

    class Linear(foreign.Foreign):
        def forward(self, x):
            return torch.stack([x[:, 0], -x[:, 0]], 1) + 0 * self.net(x)

        def training_step(self, batch, batch_idx):
            return self.net(batch[0]).square().mean()

    data = TensorDataset(x, (x[:, 0] < 0).long())
    trainer, report = overfitting(tmp_path, foreign.seeded(Linear), data, stop=True)
    assert status(report) == {"catastrophic_overfitting": "PASS"}
    assert trainer.current_epoch == 3


def saved(folder, module):
    path = folder / f"{type(module).__name__}.ckpt"
    torch.save({"state_dict": module.state_dict()}, path)
    return str(path)


class Wider(foreign.Foreign):
    def __init__(self):
        super().__init__()
        self.more = torch.nn.Linear(2, 2)


def with_relatives(folder, **relatives):
    callback = RobustnessEvaluation(attacks(), BUDGETS, sanity="full", **relatives)
    trainer = foreign.trainer(folder, callback)
    trainer.test(foreign.seeded(foreign.Foreign), foreign.loader(), verbose=False)
    return json.loads((folder / "sanity.json").read_text())


def test_siblings_and_twin_are_attacked_with_their_own_weights(tmp_path):
    torch.manual_seed(8)
    path = saved(tmp_path, foreign.Foreign())
    report = with_relatives(tmp_path, siblings=[path], twin=path)
    assert {"transfer", "twin"} <= set(status(report))
    module = foreign.seeded(foreign.Foreign)
    before, theirs = copy.deepcopy(module.state_dict()), torch.load(path)["state_dict"]
    other = with_weights(module, path)
    for name, value in theirs.items():
        assert torch.equal(other.state_dict()[name], value)
        assert torch.equal(module.state_dict()[name], before[name])
        assert not torch.equal(value, before[name])
    assert not other.training


def test_relatives_that_do_not_fit_are_named(tmp_path):
    path = saved(tmp_path, Wider())
    with pytest.warns(UserWarning, match=r"Wider\.ckpt does not fit Foreign"):
        report = with_relatives(tmp_path, twin=path)
    assert "twin" in {one["name"] for one in report["skipped"]}
    with pytest.raises(MisconfigurationException, match="no checkpoint nowhere"):
        with_relatives(tmp_path, siblings=["nowhere.ckpt"])
