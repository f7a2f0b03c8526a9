"""What training costs, in counts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader

from steadyear.attacks import PGD, Linf
from steadyear.callbacks import AdditionalStep, AdversarialTraining, BatchKeys, Madry, RunRecord
from steadyear.callbacks.training.cost import forward_gflops
from steadyear.callbacks.training.recipes.trades import TRADES
from steadyear.callbacks.training.weight_perturbation import AdversarialWeightPerturbation
from tests.callbacks import foreign_modules as foreign

PARSER = SimpleNamespace(dump=lambda config, skip_none: yaml.safe_dump(config))
STEPS = 3


class Jitter(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def record():
    config = {"experiment": "demo/a2e", "run": "seed3", "seed_everything": 3}
    return RunRecord(PARSER, config, save_to_log_dir=False)


def training(recipe=None):
    return AdversarialTraining(PGD(Linf(0.3), steps=STEPS), recipe)


def counts(folder):
    facts = json.loads((folder / "run.json").read_text())
    return facts["training_clips"], facts["attack_gradient_queries"]


def fit(folder, *callbacks, module=foreign.Noisy, loader=None, **settings):
    path = settings.pop("ckpt_path", None)
    trainer = foreign.trainer(folder, *callbacks, record(), **settings)
    trainer.fit(foreign.seeded(module), loader or foreign.loader(), ckpt_path=path)
    return trainer


def test_a_forward_pass_is_counted_by_its_products():
    module = foreign.seeded(foreign.Noisy)
    module.net.append(nn.Unflatten(1, (1, 1, 2))).append(nn.Conv2d(1, 5, (1, 2)))
    batch = next(iter(foreign.loader()))
    found = forward_gflops(module, batch, BatchKeys())
    assert found == pytest.approx(2 * (6 * 8 + 8 * 2 + 2 * 5) / 1e9, rel=1e-12)


def test_measuring_leaves_no_trace():
    module = foreign.seeded(foreign.Noisy)
    module.net[0].weight.requires_grad_(False)
    module.net[4].eval()
    module.net.append(Jitter())
    batch = next(iter(foreign.loader()))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    assert forward_gflops(module, batch, BatchKeys())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert module.training
    assert not module.net[4].training
    assert [p.requires_grad for p in module.net.parameters()] == [False] + 5 * [True]


def test_a_compiled_network_costs_what_it_costs():
    module = foreign.seeded(foreign.Noisy)
    batch = next(iter(foreign.loader()))
    plain = forward_gflops(module, batch, BatchKeys())
    module.net = torch.compile(module.net, backend="eager")
    module(batch[0])
    assert forward_gflops(module, batch, BatchKeys()) == plain


@pytest.mark.parametrize(
    ("module", "keys", "reason"),
    [
        (foreign.Foreign, BatchKeys(input=7), "ValueError: No input at 7"),
        (foreign.Foreign, BatchKeys(input=1), "RuntimeError: "),
        (nn.Tanh, BatchKeys(), "PyTorch counts none of its parts"),
    ],
)
def test_what_cannot_be_measured_is_said(module, keys, reason, monkeypatch):
    lines = []
    monkeypatch.setattr("steadyear.callbacks.training.cost.rank_zero_info", lines.append)
    assert forward_gflops(module(), next(iter(foreign.loader())), keys) is None
    (line,) = lines
    assert line.startswith("The cost of a forward pass is unknown: ")
    assert reason in line


def test_ordinary_training_has_no_queries(tmp_path):
    fit(tmp_path)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["forward_gflops_per_clip"] == 128e-9
    assert counts(tmp_path) == (2 * foreign.CLIPS, 0)


def test_madry_trains_on_every_clip_once_and_asks_for_every_step(tmp_path):
    fit(tmp_path, training(Madry()))
    passes = 2 * foreign.CLIPS
    assert counts(tmp_path) == (passes, passes * STEPS)


def test_additional_steps_are_counted(tmp_path):
    fit(tmp_path, training(AdditionalStep(every_n_epochs=2)), max_epochs=5)
    # Epochs 2 and 4 have additional steps.
    assert counts(tmp_path) == ((5 + 2) * foreign.CLIPS, 2 * foreign.CLIPS * STEPS)


def test_a_rehearsal_for_the_weights_is_counted_and_attacks_once(tmp_path):
    attack, weights = PGD(Linf(0.3), steps=STEPS), AdversarialWeightPerturbation(warmup_epochs=1)
    fit(tmp_path, AdversarialTraining(attack, weight_perturbation=weights))
    # The second epoch passes through the module twice.
    assert counts(tmp_path) == (3 * foreign.CLIPS, 2 * foreign.CLIPS * STEPS)


def test_trades_trains_on_clean_and_attacked_clips(tmp_path):
    fit(tmp_path, training(TRADES()))
    passes = 2 * foreign.CLIPS
    assert counts(tmp_path) == (2 * passes, passes * STEPS)


def test_a_resumed_fit_goes_on_counting(tmp_path):
    first = training()
    trainer = fit(tmp_path, first, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert first.attack_gradient_queries == foreign.CLIPS * STEPS
    second = training()
    fit(tmp_path, second, max_epochs=3, ckpt_path=tmp_path / "last.ckpt")
    passes = 3 * foreign.CLIPS
    assert counts(tmp_path) == (passes, passes * STEPS)
    assert second.attack_gradient_queries == 2 * foreign.CLIPS * STEPS
    # The same callback in a new fit begins at zero.
    fit(tmp_path, second, max_epochs=1)
    assert counts(tmp_path) == (foreign.CLIPS, foreign.CLIPS * STEPS)


def test_processes_are_summed_on_top_of_what_was_recorded(tmp_path, monkeypatch):
    trainer = fit(tmp_path, training(), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    monkeypatch.setattr(
        "steadyear.callbacks.training.training_counts.from_all_processes", lambda rows: rows * 2
    )
    fit(tmp_path, training(), max_epochs=2, ckpt_path=tmp_path / "last.ckpt")
    assert counts(tmp_path) == (3 * foreign.CLIPS, 3 * foreign.CLIPS * STEPS)


def test_a_record_without_counts_stays_without(tmp_path):
    trainer = fit(tmp_path, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    facts = json.loads((tmp_path / "run.json").read_text())
    del facts["training_clips"], facts["attack_gradient_queries"]
    (tmp_path / "run.json").write_text(json.dumps(facts))
    fit(tmp_path, ckpt_path=tmp_path / "last.ckpt")
    assert counts(tmp_path) == (None, None)


def test_batches_of_a_foreign_kind(tmp_path):
    loader = DataLoader(foreign.Mapped(("sound", "rating")), batch_size=8)
    fit(tmp_path, module=foreign.WithMapping, loader=loader)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert (facts["forward_gflops_per_clip"], *counts(tmp_path)) == (None, None, 0)
    # A callback that knows where the input is lends its knowledge.
    keys = BatchKeys("sound", "rating")
    adversary = AdversarialTraining(PGD(Linf(0.3), steps=1), keys=keys)
    fit(tmp_path, adversary, module=foreign.WithMapping, loader=loader)
    facts = json.loads((tmp_path / "run.json").read_text())
    passes = 2 * foreign.CLIPS
    assert (facts["forward_gflops_per_clip"], *counts(tmp_path)) == (128e-9, passes, passes)


def test_a_test_measures_what_training_did_not(tmp_path):
    module = foreign.seeded(foreign.Foreign)
    foreign.trainer(tmp_path, record()).test(module, foreign.loader(), verbose=False)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert (facts["forward_gflops_per_clip"], facts["training_clips"]) == (128e-9, None)
