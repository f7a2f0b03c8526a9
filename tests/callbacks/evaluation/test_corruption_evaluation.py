"""Evaluation under corruptions: its figures by a plain loop, in one process and in two."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.data import DataLoader, Dataset

from steadyear.callbacks.batches import BatchKeys
from steadyear.callbacks.evaluation.corruption import CorruptionEvaluation
from steadyear.lightning_modules import MultiLabelModule
from tests.callbacks import foreign_modules as foreign

CLIPS, CLASSES, TIME, RATE = 13, 4, 300, 8000
SEVERITIES = (1, 3)


class Heard(Dataset):
    """Waveforms with labels; the index is not the position."""

    def __init__(self, key="waveform"):
        draws = torch.Generator().manual_seed(3)
        self.key = key
        self.waveform = torch.randn(CLIPS, TIME, generator=draws)
        self.target = (torch.rand(CLIPS, CLASSES, generator=draws) < 0.4).float()

    def __len__(self):
        return CLIPS

    def __getitem__(self, i):
        index = torch.tensor(100 + i)
        return {self.key: self.waveform[i], "target": self.target[i], "index": index}


class Head(nn.Linear):
    def __init__(self, embedding_dim):
        super().__init__(embedding_dim, CLASSES)

    def forward(self, embedding):
        return super().forward(embedding), None


class Frontend(nn.Module):
    sample_rate = RATE

    def forward(self, waveform):
        # Small, or the network saturates and equal predictions are ranked by rounding.
        return 0.01 * torch.fft.rfft(waveform).abs()[:, None, None, :20]


class Hears(MultiLabelModule):
    """Without the front end's checks, which are tested elsewhere; with dropout, which must be off."""

    def forward(self, x):
        return super().forward(self.frontend(x) if x.ndim == 2 else x)


def module():
    torch.manual_seed(5)
    network = nn.Sequential(nn.Flatten(), nn.Linear(20, 7), nn.Tanh(), nn.Dropout(0.5))
    network.embedding_dim = 7
    return Hears(network, Head, frontend=Frontend())


def noisy(waveform, sample_rate, severity, generator):
    """Noise of the generator; the sampling rate goes in, too."""
    noise = torch.randn(len(waveform), generator=generator)
    return waveform + severity * sample_rate / RATE * noise


def louder(waveform, sample_rate, severity, generator):
    return waveform * (1 + severity) ** 2


CORRUPTIONS = {"noisy": noisy, "louder": louder}


def evaluate(folder, data=None, batch_size=4, callback=None, which=None, **settings):
    callback = callback or CorruptionEvaluation(CORRUPTIONS, SEVERITIES, seed=2)
    trainer = foreign.trainer(folder, callback, **settings)
    loader = DataLoader(data or Heard(), batch_size=batch_size)
    trainer.test(which or module(), loader, verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corruptions")
    return folder, evaluate(folder)


def by_hand(name, severity):
    """Predictions of all clips, one at a time."""
    data, net = Heard(), module().eval()
    predictions = []
    for i in range(CLIPS):
        digest = hashlib.blake2b(f"2/{name}/{100 + i}".encode(), digest_size=7).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
        changed = CORRUPTIONS[name](data.waveform[i], RATE, severity, generator)
        with torch.no_grad():
            predictions.append(net(changed[None]).prediction[0])
    return torch.stack(predictions)


def cmap(prediction):
    target = Heard().target
    present = [c for c in range(CLASSES) if target[:, c].any()]
    return np.mean([average_precision_score(target[:, c], prediction[:, c]) for c in present])


def test_table_and_scores_are_those_of_a_plain_loop(run):
    table, figures = pd.read_parquet(run[0] / "corruptions.parquet"), run[1]
    assert len(table) == CLIPS * len(CORRUPTIONS) * len(SEVERITIES)
    expected = {}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            rows = table[(table["corruption"] == name) & (table["severity"] == severity)]
            assert rows["index"].tolist() == [100 + i for i in range(CLIPS)]
            prediction = by_hand(name, severity)
            np.testing.assert_allclose(
                np.stack(rows["corrupted_prediction"]), prediction, atol=1e-5
            )
            errors = module().clip_errors(prediction, Heard().target)
            np.testing.assert_allclose(rows["corrupted_error"], errors, atol=1e-5)
            expected[name, severity] = cmap(prediction)
            logged = figures[f"test/audio_c/{name}@{severity}/cmap"]
            assert logged == pytest.approx(expected[name, severity], rel=1e-5)
    assert figures["test/audio_c/mean/cmap"] == pytest.approx(np.mean(list(expected.values())))
    of_each = [np.mean([expected[name, s] for s in SEVERITIES]) for name in CORRUPTIONS]
    assert abs(of_each[0] - of_each[1]) > 1e-3
    assert figures["test/audio_c/worst/cmap"] == pytest.approx(min(of_each), rel=1e-5)
    assert figures["test/audio_c/clean/cmap"] == pytest.approx(figures["test/cmap"], rel=1e-5)


def test_worst_per_clip_takes_the_worst_corruption_of_every_clip(run):
    table, scores = pd.read_parquet(run[0] / "corruptions.parquet"), []
    for _, rows in table.groupby("severity"):
        worst = rows.loc[rows.groupby("index")["corrupted_error"].idxmax()].sort_values("index")
        scores.append(cmap(np.stack(worst["corrupted_prediction"])))
    assert run[1]["test/audio_c/worst_per_clip/cmap"] == pytest.approx(np.mean(scores), rel=1e-5)


def test_signal_to_noise_ratios_are_those_of_the_corruption(run):
    table = pd.read_parquet(run[0] / "corruptions.parquet")
    louder = table[table["corruption"] == "louder"].groupby("severity")["snr_db"].mean()
    for severity in SEVERITIES:
        expected = -20 * np.log10((1 + severity) ** 2 - 1)
        assert louder[severity] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "settings", [{"batch_size": 1}, {"batch_size": 13}, {"inference_mode": True}]
)
def test_batches_and_inference_mode_change_nothing(tmp_path, run, settings):
    evaluate(tmp_path, **settings)
    one, other = (pd.read_parquet(f / "corruptions.parquet") for f in (run[0], tmp_path))
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-5)


@pytest.fixture
def one_thread(monkeypatch):
    """The threads of OpenMP do not survive a fork."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_two_processes_give_the_table_and_figures_of_one(tmp_path, run, one_thread):
    # 13 clips: the sampler for two processes repeats one.
    figures = evaluate(tmp_path, devices=2, strategy="ddp_fork")
    one, two = (pd.read_parquet(f / "corruptions.parquet") for f in (run[0], tmp_path))
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-5)
    chosen = {name: value for name, value in run[1].items() if "audio_c" in name}
    assert len(chosen) > 10
    assert {name: figures[name] for name in chosen} == pytest.approx(chosen, rel=1e-5)


class Rateless(foreign.Foreign):
    """Reads the first samples, and says nothing about a sampling rate."""

    def forward(self, x):
        return self.net(x[:, :6])


def test_a_foreign_module_is_scored_by_its_mean_error(tmp_path):
    class Rated(Heard):
        def __getitem__(self, i):
            return super().__getitem__(i) | {"target": self.target[i, :2]}

    callback = CorruptionEvaluation(CORRUPTIONS, (2,), sample_rate=RATE)
    figures = evaluate(tmp_path, Rated(), callback=callback, which=Rateless())
    rows = pd.read_parquet(tmp_path / "corruptions.parquet")
    errors = np.abs(np.stack(rows["corrupted_prediction"]) - np.stack(rows["target"])).mean(1)
    means = [errors[rows["corruption"] == name].mean() for name in CORRUPTIONS]
    assert figures["test/audio_c/mean/error"] == pytest.approx(np.mean(means), rel=1e-5)
    assert figures["test/audio_c/worst/error"] == pytest.approx(max(means), rel=1e-5)


def test_a_second_evaluation_is_refused_before_it_overwrites_the_first(tmp_path):
    both = [CorruptionEvaluation({name: CORRUPTIONS[name]}, SEVERITIES) for name in CORRUPTIONS]
    trainer = foreign.trainer(tmp_path, *both)
    with pytest.raises(MisconfigurationException, match=r"2 CorruptionEvaluation.*`corruptions`"):
        trainer.test(module(), DataLoader(Heard()), verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_corrupted_comes_with_a_cure(tmp_path):
    with pytest.raises(MisconfigurationException, match=r"set data.init_args.stream to 'both'"):
        evaluate(tmp_path, Heard("spectrogram"))
    with pytest.raises(MisconfigurationException, match=r"give the callback's sample_rate"):
        evaluate(tmp_path, which=Rateless())
    with pytest.raises(MisconfigurationException, match="index of each clip"):
        evaluate(tmp_path, foreign.loader().dataset, which=foreign.Foreign())
    flat = CorruptionEvaluation(CORRUPTIONS, keys=BatchKeys(input="index"))
    with pytest.raises(MisconfigurationException, match=r"shape \(batch, time\)"):
        evaluate(tmp_path, callback=flat)
    for corruptions, severities in (({}, (1,)), (CORRUPTIONS, ()), (CORRUPTIONS, (1, 1))):
        with pytest.raises(ValueError, match="at least one corruption and distinct severities"):
            CorruptionEvaluation(corruptions, severities)
