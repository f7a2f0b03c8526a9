"""The multi-label module: its loss, its errors, its optimiser, its checkpoints."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import get_cosine_schedule_with_warmup

from steadyear.lightning_modules import (
    AsymmetricLoss,
    LogMel,
    MultiLabelModule,
    Output,
    WarmupCosine,
)

CLASSES = 4
from tests.lightning_modules.quiet_trainer import trainer


class Maps(nn.Module):
    """A network whose embedding is a map of 5 channels."""

    embedding_dim = 5

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 5, 3, 2)

    def forward(self, x):
        return self.layer(x).tanh()


class Prototypes(nn.Module):
    """A head with prototypes and a regularisation."""

    def __init__(self, embedding_dim, num_classes=CLASSES):
        super().__init__()
        self.num_classes = num_classes
        self.prototype_vectors = nn.Parameter(torch.rand(6, embedding_dim))
        self.last_layer = nn.Linear(6, num_classes)

    def forward(self, embedding):
        found = torch.einsum("bchw,pc->bphw", embedding, self.prototype_vectors).amax((2, 3))
        return self.last_layer(found), found

    def regularization(self):
        return self.prototype_vectors.square().mean()


class Plain(nn.Module):
    """A head without either."""

    def __init__(self, embedding_dim):
        super().__init__()
        self.layer = nn.Linear(embedding_dim, CLASSES)

    def forward(self, embedding):
        return self.layer(embedding.mean((2, 3))), None


class Clips(Dataset):
    def __init__(self, count=24):
        generator = torch.Generator().manual_seed(4)
        self.target = (torch.rand(count, CLASSES, generator=generator) < 0.4).float()
        self.target[:, 3] = 0
        self.spectrogram = torch.randn(count, 1, 8, 9, generator=generator)
        self.spectrogram[:, 0, :3] += 3 * self.target[:, :3, None]

    def __len__(self):
        return len(self.target)

    def __getitem__(self, i):
        item = {"spectrogram": self.spectrogram[i], "target": self.target[i]}
        return item | {"index": torch.tensor(i)}


def batch(count=24):
    return next(iter(DataLoader(Clips(count), batch_size=count)))


def module(head=Prototypes, **settings):
    torch.manual_seed(0)
    return MultiLabelModule(Maps(), head, **settings)


def named(made, names):
    made._trainer = SimpleNamespace(datamodule=SimpleNamespace(target_names=names))
    made.setup("fit")
    return made


def test_output_holds_map_logits_and_activations():
    made = module()
    output = made(batch()["spectrogram"])
    assert output.prediction.shape == (24, CLASSES)
    assert output.embedding.shape == (24, 5, 3, 4)
    assert output.prototype_activations.shape == (24, 6)
    assert torch.equal(made.head.last_layer(output.prototype_activations), output.prediction)
    assert output.concepts is None
    assert module(Plain)(batch()["spectrogram"]).prototype_activations is None


def test_loss_is_that_of_the_logits_and_the_regularisation():
    given, made = batch(), module()
    output = made(given["spectrogram"])
    asymmetric = AsymmetricLoss()(output.prediction, given["target"])
    expected = asymmetric + made.head.prototype_vectors.square().mean()
    assert made.loss(output, given).item() == pytest.approx(expected.item(), rel=1e-6)
    plain = module(Plain, loss=nn.BCEWithLogitsLoss())
    output = plain(given["spectrogram"])
    expected = F.binary_cross_entropy_with_logits(output.prediction, given["target"])
    assert plain.loss(output, given).item() == pytest.approx(expected.item(), rel=1e-6)
    integers = given | {"target": given["target"].long()}
    assert plain.loss(output, integers).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), AsymmetricLoss()])
def test_losses_of_clips_come_from_any_loss(loss):
    given, made = batch(5), module(loss=loss)
    prediction = made(given["spectrogram"]).prediction.detach()
    each = made.clip_losses(prediction, given["target"])
    alone = [loss(prediction[[i]], given["target"][[i]]).item() for i in range(5)]
    assert each.tolist() == pytest.approx(alone, rel=1e-6)


def test_wrong_numbers_of_classes_name_the_setting():
    given, made = batch(), module()
    output = made(given["spectrogram"])
    with pytest.raises(ValueError, match=r"gives 4 classes and the data has 6.*num_classes to 6"):
        made.loss(output, given | {"target": torch.zeros(24, 6)})
    with pytest.raises(ValueError, match=r"multi-hot.*\(24,\)"):
        made.collect(output, given | {"target": torch.zeros(24)})
    with pytest.raises(ValueError, match=r"gives 4 classes and the data has 2"):
        named(made, ["a", "b"])
    assert named(module(Plain), ["a", "b"]).class_names == ["a", "b"]


def test_network_must_say_its_embedding_dim():
    with pytest.raises(TypeError, match="embedding_dim"):
        MultiLabelModule(nn.Flatten(), Plain)


def test_waveform_and_its_spectrogram_give_the_same():
    frontend = LogMel(256, 128, 16, sample_rate=8000, mean=-30.0, std=20.0)
    made = module(frontend=frontend).eval()
    waveform = torch.randn(3, 4000, generator=torch.Generator().manual_seed(1)) * 0.1
    through, direct = made(waveform), made(frontend(waveform))
    assert torch.equal(through.prediction, direct.prediction)


def test_validation_scores_are_those_of_all_clips_once(tmp_path):
    made = module()
    loader = DataLoader(Clips(), batch_size=5, sampler=[*range(24), 0, 1, 2])
    run = trainer(tmp_path)
    run.validate(made, loader, verbose=False)
    given = batch()
    with torch.no_grad():
        output = made(given["spectrogram"])
    ap = [average_precision_score(given["target"][:, c], output.prediction[:, c]) for c in range(3)]
    figures = {name: value.item() for name, value in run.callback_metrics.items()}
    assert figures["val/cmap"] == pytest.approx(sum(ap) / 3, rel=1e-6)
    assert figures["val/loss"] == pytest.approx(made.loss(output, given).item(), rel=1e-5)
    scores = made.scores(output.prediction, given["target"])
    assert set(scores) == {"cmap", "auroc", "top1", "top1_with_nocalls", "micro_ap"}
    for name, value in scores.items():
        assert figures[f"val/{name}"] == pytest.approx(value, rel=1e-6)
    run.validate(made, DataLoader(Clips(), batch_size=6, sampler=range(6)), verbose=False)
    # Nothing of the first validation is left.
    few = made.scores(output.prediction[:6], given["target"][:6])
    assert run.callback_metrics["val/auroc"].item() == pytest.approx(few["auroc"], rel=1e-6)


def test_classes_are_shown_one_by_one_in_the_test_only(tmp_path):
    made, run = module(), trainer(tmp_path)
    loader = DataLoader(Clips(), batch_size=5)
    made.setup = lambda stage: setattr(made, "class_names", list("abcd"))
    run.validate(made, loader, verbose=False)
    assert not [name for name in run.callback_metrics if "ap/" in name]
    run.test(made, loader, verbose=False)
    # The class d does not occur.
    assert {n for n in run.callback_metrics if "ap/" in n} == {f"test/ap/{c}" for c in "abc"}


def test_training_lowers_the_loss_and_raises_the_score(tmp_path):
    made = module(Plain, optimizer=partial(torch.optim.AdamW, lr=0.03))
    given = batch()
    before = made.scores(made(given["spectrogram"]).prediction.detach(), given["target"])
    trainer(tmp_path, max_epochs=30).fit(made, DataLoader(Clips(), batch_size=12))
    after = made.scores(made(given["spectrogram"]).prediction.detach(), given["target"])
    assert after["cmap"] > before["cmap"] + 0.2


GROUPS = {
    "head.prototype_vectors": {"lr": 0.01, "weight_decay": 0.0},
    "head.*": {"lr": 5e-4, "weight_decay": 1e-4},
}


def test_groups_of_parameters_have_their_settings(tmp_path):
    optimizer = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.2)
    made = module(optimizer=optimizer, parameter_groups=GROUPS)
    made.network.layer.bias.requires_grad_(False)
    run = trainer(tmp_path)
    run.fit(made, DataLoader(Clips(), batch_size=12))
    found = [
        (sorted(p.numel() for p in group["params"]), group["lr"], group["weight_decay"])
        for group in run.optimizers[0].param_groups
    ]
    assert found == [([30], 0.01, 0.0), ([4, 24], 5e-4, 1e-4), ([45], 1e-3, 0.2)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"head.prototypes": {"lr": 1.0}}, r"'head.prototypes'.*head\.prototype_vectors"),
        ({"head.*": {"lr": 1.0}, **GROUPS}, "earlier pattern"),
        ({"network.*": {"lr": 1.0}}, "no parameter that learns"),
    ],
)
def test_patterns_that_match_nothing_are_errors(groups, message):
    made = module(parameter_groups=groups)
    made.network.requires_grad_(False)
    with pytest.raises(ValueError, match=message):
        made.configure_optimizers()


def rates(tmp_path, made, **settings):
    seen = []
    step = made.optimizer_step

    def watched(*args, **kwargs):
        seen.append([group["lr"] for group in made.optimizers().param_groups])
        step(*args, **kwargs)

    made.optimizer_step = watched
    run = trainer(tmp_path, **{"max_epochs": 4, **settings})
    run.fit(made, DataLoader(Clips(), batch_size=2))
    return seen, run


def test_warmup_and_cosine_follow_the_steps_of_the_optimiser(tmp_path):
    made = module(
        optimizer=partial(torch.optim.AdamW, lr=1.0),
        lr_scheduler=partial(WarmupCosine, warmup=0.1),
        parameter_groups={"head.*": {"lr": 0.5}},
    )
    seen, _ = rates(tmp_path, made, accumulate_grad_batches=2)
    # 24 clips in batches of 2, two of them for a step, four epochs: 24 steps, 3 of them warm-up.
    other = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_cosine_schedule_with_warmup(other, 3, 24)
    expected = []
    for _ in range(24):
        expected.append(schedule.get_last_lr()[0])
        other.step()
        schedule.step()
    assert [lr for _, lr in seen] == pytest.approx(expected, abs=1e-9)
    assert [lr for lr, _ in seen] == pytest.approx([0.5 * lr for lr in expected], abs=1e-9)


def test_other_schedules_are_stepped_once_per_epoch(tmp_path):
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    made = module(optimizer=partial(torch.optim.SGD, lr=1.0), lr_scheduler=schedule)
    seen, _ = rates(tmp_path, made, max_epochs=2)
    assert [lr for (lr,) in seen] == pytest.approx([1.0] * 12 + [0.1] * 12)


def test_a_schedule_without_an_end_is_an_error(tmp_path):
    made = module(lr_scheduler=WarmupCosine)
    with pytest.raises(ValueError, match=r"trainer\.max_epochs"):
        trainer(tmp_path, max_epochs=-1).fit(made, DataLoader(Clips(), batch_size=12))
    with pytest.raises(ValueError, match="from 0 to 1"):
        WarmupCosine(torch.optim.SGD(made.parameters(), 1.0), warmup=5)
    given = module(lr_scheduler=partial(WarmupCosine, warmup=0, total_steps=2))
    seen, _ = rates(tmp_path, given, max_epochs=1)
    assert [lr / 1e-3 for (lr,) in seen[:4]] == pytest.approx([1, 0.5, 0, 0], abs=1e-9)


def test_a_resumed_schedule_has_the_length_of_the_configuration(tmp_path):
    def make():
        return module(lr_scheduler=WarmupCosine)

    whole, _ = rates(tmp_path, make(), max_epochs=4)
    _, run = rates(tmp_path, make(), max_epochs=2)
    run.save_checkpoint(tmp_path / "half.ckpt")
    made = make()
    seen = []
    made.on_before_optimizer_step = lambda optimizer: seen.append(optimizer.param_groups[0]["lr"])
    again = trainer(tmp_path, max_epochs=4)
    loader = DataLoader(Clips(), batch_size=2)
    again.fit(made, loader, ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    # The first step after resuming still has the rate that the shorter schedule left behind.
    assert seen[1:] == pytest.approx([lr for (lr,) in whole[25:]], abs=1e-9)


def test_settings_of_the_optimiser_stay_out_of_the_checkpoint(tmp_path):
    made = module(lr_scheduler=WarmupCosine, parameter_groups=GROUPS)
    run = trainer(tmp_path)
    run.fit(made, DataLoader(Clips(), batch_size=12))
    path = tmp_path / "made.ckpt"
    run.save_checkpoint(path)
    stored = torch.load(path, weights_only=True)
    assert set(stored["hyper_parameters"]) <= {"frontend", "loss"}
    again = MultiLabelModule.load_from_checkpoint(
        path, network=Maps(), head=Prototypes, weights_only=True
    )
    given = batch()["spectrogram"]
    assert torch.equal(again.eval()(given).prediction, made.eval()(given).prediction)


def test_errors_of_clips_lie_between_0_and_1():
    made, given = module(), batch()
    errors = made.clip_errors(10 * made(given["spectrogram"]).prediction.detach(), given["target"])
    assert errors.shape == (24,)
    assert errors.min() >= 0
    assert errors.max() <= 1
    perfect = 10 * (2 * given["target"] - 1)
    assert made.clip_errors(perfect, given["target"]).max() < math.exp(-9)


def test_output_keeps_the_order_of_its_fields():
    assert Output._fields == ("prediction", "concepts", "embedding", "prototype_activations")
