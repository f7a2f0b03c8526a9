"""The regression module: its loss, its errors, its checkpoints."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters_context
from scipy.stats import pearsonr
from torch import nn
from torch.utils.data import DataLoader, Dataset

from steadyear.lightning_modules import A2B2E, A2E, A2M2E, LogMel, Output, RegressionModule
from tests.lightning_modules.quiet_trainer import trainer


class Pool(nn.Module):
    """A network: mean of the spectrogram over time, and a layer with dropout."""

    def __init__(self, height=16, embedding_dim=5):
        super().__init__()
        self.embedding_dim = embedding_dim
        self.layer = nn.Linear(height, embedding_dim)

    def forward(self, x):
        return self.layer(x.mean(-1).flatten(1)).tanh()


class Clips(Dataset):
    def __init__(self, count=12):
        generator = torch.Generator().manual_seed(4)
        self.spectrogram = torch.randn(count, 1, 16, 9, generator=generator)
        self.target = torch.randn(count, 2, generator=generator)
        self.concepts = torch.randn(count, 3, generator=generator)

    def __len__(self):
        return len(self.target)

    def __getitem__(self, i):
        names = ("spectrogram", "target", "concepts")
        return {name: getattr(self, name)[i] for name in names} | {"index": torch.tensor(i)}


def batch(count=12):
    return next(iter(DataLoader(Clips(count), batch_size=count)))


def module(head=A2M2E, concept_weight=0.5, num_concepts=3, **settings):
    torch.manual_seed(0)
    extra = {} if head is A2E else {"num_concepts": num_concepts}
    make = partial(head, num_targets=2, **extra)
    return RegressionModule(Pool(), make, concept_weight=concept_weight, **settings)


def test_loss_is_the_weighted_sum_of_mean_squared_errors():
    output = Output(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 2.0, 4.0]]))
    given = {"target": torch.tensor([[0.0, 1.0]]), "concepts": torch.tensor([[1.0, 2.0, 2.0]])}
    # Targets: (1 + 4) / 2; concepts: (1 + 0 + 4) / 3.
    loss = module(target_weight=0.3, concept_weight=0.7).loss(output, given)
    assert loss.item() == pytest.approx(0.3 * 2.5 + 0.7 * 5 / 3)
    only = module(A2B2E, concept_weight=0.0).loss(output, given)
    assert only.item() == pytest.approx(2.5)


@pytest.mark.parametrize(("head", "weight"), [(A2E, 0.0), (A2B2E, 0.0), (A2M2E, 0.5)])
def test_output_holds_what_the_head_has(head, weight):
    made = module(head, weight)
    output = made(batch()["spectrogram"])
    assert output.prediction.shape == (12, 2)
    assert output.embedding.shape == (12, 5)
    assert (output.concepts is None) == (head is A2E)
    prediction, _ = made.head(output.embedding)
    assert torch.equal(prediction, output.prediction)


def test_wrong_numbers_of_outputs_name_the_setting():
    given = batch()
    output = module()(given["spectrogram"])
    with pytest.raises(ValueError, match=r"model\.head\.num_targets to 5"):
        module().loss(output, given | {"target": torch.zeros(12, 5)})
    with pytest.raises(ValueError, match=r"model\.head\.num_concepts to 7"):
        module().loss(output, given | {"concepts": torch.zeros(12, 7)})


def test_missing_concepts_are_named():
    given = batch()
    output = module()(given["spectrogram"])
    without = {key: value for key, value in given.items() if key != "concepts"}
    with pytest.raises(ValueError, match="data has no concepts"):
        module().loss(output, without)
    with pytest.raises(ValueError, match="head has no bottleneck"):
        module().loss(output._replace(concepts=None), given)


@pytest.mark.parametrize(
    ("head", "weight", "cure"),
    [(A2M2E, 0.0, "positive"), (A2E, 0.5, "A2M2E"), (A2B2E, 0.5, "A2M2E")],
)
def test_head_and_weight_must_agree(head, weight, cure):
    with pytest.raises(ValueError, match=cure):
        module(head, weight)


def test_network_must_say_its_embedding_dim():
    with pytest.raises(TypeError, match="embedding_dim"):
        RegressionModule(nn.Flatten(), partial(A2E, num_targets=2))


def test_waveform_and_its_spectrogram_give_the_same():
    frontend = LogMel(256, 128, 16, sample_rate=8000, mean=-30.0, std=20.0)
    made = module(frontend=frontend).eval()
    waveform = torch.randn(3, 4000, generator=torch.Generator().manual_seed(1)) * 0.1
    through, direct = made(waveform), made(frontend(waveform))
    assert torch.equal(through.prediction, direct.prediction)
    assert through.prediction.std() > 0


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="no frontend"):
        module()(torch.zeros(2, 100))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        module()(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"no 'spectrogram' and no 'waveform', only \['target'\]"):
        module().training_step({"target": torch.zeros(2, 2)}, 0)


def test_validation_scores_are_those_of_all_clips_once(tmp_path):
    made = module()
    loader = DataLoader(Clips(), batch_size=5, sampler=[*range(12), 0, 1, 2])
    run = trainer(tmp_path)
    run.validate(made, loader, verbose=False)
    with torch.no_grad():
        output = made(batch()["spectrogram"])
    expected = [
        pearsonr(output.prediction[:, i], batch()["target"][:, i]).statistic for i in (0, 1)
    ]
    figures = run.callback_metrics
    assert figures["val/pearson"].item() == pytest.approx(sum(expected) / 2, abs=1e-6)
    error = (output.concepts - batch()["concepts"]).abs().mean().item()
    assert figures["val/concepts/mae"].item() == pytest.approx(error, abs=1e-6)
    run.validate(made, DataLoader(Clips(), batch_size=6, sampler=range(6)), verbose=False)
    # Nothing of the first validation is left.
    error = (output.prediction - batch()["target"])[:6].abs().mean().item()
    assert run.callback_metrics["val/mae"].item() == pytest.approx(error, abs=1e-6)


def test_scores_are_named_by_the_data(tmp_path):
    made = module()
    made._trainer = SimpleNamespace(
        datamodule=SimpleNamespace(target_names=["valence", "energy"], concept_names=list("abc"))
    )
    made.setup("test")
    made.collect(made(batch()["spectrogram"]), batch())
    assert {"pearson/valence", "pearson/energy", "concepts/pearson/c"} <= set(made.epoch_scores())


def schedule(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)


def test_factories_are_used_and_stay_out_of_the_checkpoint(tmp_path):
    optimizer = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1)
    made = module(optimizer=optimizer, lr_scheduler=schedule)
    made.network.layer.bias.requires_grad_(False)
    run = trainer(tmp_path)
    run.fit(made, DataLoader(Clips(), batch_size=4))
    (used,) = run.optimizers
    assert isinstance(used, torch.optim.AdamW)
    assert used.param_groups[0]["lr"] == pytest.approx(0.02 * 0.01)
    assert len(used.param_groups[0]["params"]) == len(list(made.parameters())) - 1

    path = tmp_path / "made.ckpt"
    run.save_checkpoint(path)
    stored = torch.load(path, weights_only=True)["hyper_parameters"]
    assert stored == {"target_weight": 1.0, "concept_weight": 0.5, "frontend": None}
    again = RegressionModule.load_from_checkpoint(
        path,
        network=Pool(),
        head=partial(A2M2E, num_targets=2, num_concepts=3),
        weights_only=True,
    )
    assert again.concept_weight == 0.5
    given = batch()["spectrogram"]
    assert torch.equal(again.eval()(given).prediction, made.eval()(given).prediction)


def test_training_lowers_the_loss_and_is_logged(tmp_path):
    made = module(optimizer=partial(torch.optim.Adam, lr=0.03))
    before = made.loss(made(batch()["spectrogram"]), batch()).item()
    run = trainer(tmp_path, max_epochs=30)
    run.fit(made, DataLoader(Clips(), batch_size=12))
    after = made.loss(made(batch()["spectrogram"]), batch()).item()
    assert after < 0.8 * before
    assert after < run.callback_metrics["train/loss"].item() < before


def test_one_clip_and_one_target_can_be_validated(tmp_path):
    made = RegressionModule(Pool(), partial(A2E, num_targets=1))
    made.target_names = ["valence"]
    given = batch(1)
    made.collect(made(given["spectrogram"]), given | {"target": given["target"][:, :1]})
    scores = made.epoch_scores()
    assert scores["pearson"] == scores["pearson/valence"] == 0


def test_command_line_settings_of_optimiser_and_schedule_are_not_stored():
    given = {
        "network": {"class_path": "Pool"},
        "concept_weight": 0.5,
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.5}},
        "lr_scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR"},
    }
    with _given_hyperparameters_context(given, "lightning.pytorch.cli.instantiate_module"):
        stored = dict(module().hparams)
    assert stored["network"] == given["network"]
    assert stored["concept_weight"] == 0.5
    assert not {"optimizer", "lr_scheduler"} & set(stored)


class Offers(LightningDataModule):
    """Data with spectrograms to fit on."""

    asked = 0

    def train_dataloader(self):
        return DataLoader(Clips(), batch_size=4)

    def spectrograms_to_fit(self):
        self.asked += 1
        return [10 + 3 * value.numpy() for value in Clips().spectrogram[:, 0]]


def test_a_front_end_without_statistics_is_fitted_once_in_training(tmp_path):
    data, unfitted = Offers(), module(frontend=LogMel(64, 32, 16, 800))
    trainer(tmp_path).fit(unfitted, data)
    assert bool(unfitted.frontend.fitted)
    assert float(unfitted.frontend.mean) == pytest.approx(10, abs=0.5)
    trainer(tmp_path).fit(unfitted, data)
    trainer(tmp_path).fit(module(frontend=LogMel(64, 32, 16, 800, mean=1.0, std=2.0)), data)
    assert data.asked == 1
