from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from steadyear.datamodules.tables.splits import Splits
from steadyear.lightning_modules.frontends.statistics import fit_statistics

Make = Callable[..., Any]
Seen = list[tuple[int, list[int], list[float]]]


def _ready(module: Any) -> Any:
    module.prepare_data()
    module.setup("fit")
    if module.frontend is not None and not module.frontend.fitted:
        fit_statistics(module.frontend, module.spectrograms_to_fit())
    return module


def _epoch(loader: Any, number: int) -> tuple[list[int], list[float]]:
    """Return indices and first values of an epoch."""
    loader.sampler.set_epoch(number)
    batches = list(loader)
    indices = [int(i) for batch in batches for i in batch["index"]]
    key = "spectrogram" if "spectrogram" in batches[0] else "waveform"
    return indices, [float(x.flatten()[0]) for batch in batches for x in batch[key]]


def test_batches_keep_the_contract(ramp_module: Make) -> None:
    module = _ready(ramp_module(stream="both"))
    batch = next(iter(module.train_dataloader()))
    assert set(batch) == {"spectrogram", "waveform", "target", "index"}
    assert batch["spectrogram"].shape == (4, 1, 10, 2)
    assert batch["waveform"].shape == (4, 1000)
    assert batch["index"].dtype == torch.int64
    assert {batch[key].dtype for key in ("spectrogram", "waveform", "target")} == {torch.float32}
    # Clip i has the target i: rows belong together, and index is a position in clip_ids.
    torch.testing.assert_close(batch["target"][:, 0], batch["index"].float())
    assert module.clip_ids[int(batch["index"][0])] == f"ramp{int(batch['target'][0])}"


def test_spectrogram_and_waveform_show_the_same_excerpt(ramp_module: Make) -> None:
    module = _ready(ramp_module(stream="both"))
    for batch in module.train_dataloader():
        from_waveform = module.frontend(batch["waveform"])
        scale = float(module.frontend.std)
        torch.testing.assert_close(
            from_waveform * scale, batch["spectrogram"] * scale, atol=2e-5, rtol=0
        )


def test_statistics_are_those_of_training_clips(ramp_module: Make) -> None:
    module = _ready(ramp_module())
    frontend, source = module.frontend, module.clips.source
    raw = [
        frontend.analyse(source.load(i, 1000).float()[None])[0].double().numpy()
        for i in module.splits.train
    ]
    mean = np.mean([x.mean() for x in raw])
    std = np.sqrt(np.mean([((x - mean) ** 2).mean() for x in raw]))
    assert bool(frontend.fitted)
    assert float(frontend.mean) == pytest.approx(mean, abs=1e-7)
    assert float(frontend.std) == pytest.approx(std, rel=1e-5)


@pytest.mark.parametrize("stream", ["spectrogram", "waveform"])
def test_statistics_of_all_clips(ramp_module: Make, stream: str) -> None:
    module = _ready(ramp_module(statistics="all", stream=stream))
    frontend, source = module.frontend, module.clips.source
    raw = [frontend.analyse(source.load(i, 1000).float()[None])[0].double() for i in range(20)]
    mean = np.mean([float(x.mean()) for x in raw])
    std = np.sqrt(np.mean([float(((x - mean) ** 2).mean()) for x in raw]))
    assert float(frontend.mean) == pytest.approx(mean, abs=1e-7)
    assert float(frontend.std) == pytest.approx(std, rel=1e-5)


def test_fitted_front_end_is_left_alone(ramp_module: Make, block_means: Make) -> None:
    module = _ready(ramp_module(frontend=block_means(5.0, 2.0), stream="both"))
    batch = next(iter(module.test_dataloader()))
    expected = (module.frontend.analyse(batch["waveform"]) - 5) / 2
    torch.testing.assert_close(batch["spectrogram"][:, 0], expected, atol=2e-5, rtol=0)


def test_waveforms_alone_still_fit_the_front_end(ramp_module: Make) -> None:
    """The model computes spectrograms itself, but its scale comes from here."""
    reference, module = _ready(ramp_module()), _ready(ramp_module(stream="waveform"))
    assert float(module.frontend.mean) == float(reference.frontend.mean)
    assert float(module.frontend.std) == float(reference.frontend.std)
    assert set(next(iter(module.train_dataloader()))) == {"waveform", "target", "index"}


def test_waveforms_need_no_front_end(ramp_module: Make) -> None:
    module = _ready(ramp_module(stream="waveform", frontend=None))
    assert next(iter(module.train_dataloader()))["waveform"].shape == (4, 22050)


def test_spectrograms_without_front_end_are_refused(ramp_module: Make) -> None:
    with pytest.raises(ValueError, match="need a front end"):
        ramp_module(frontend=None).prepare_data()


def test_loader_before_setup_is_refused(ramp_module: Make) -> None:
    with pytest.raises(RuntimeError, match="setup"):
        ramp_module().train_dataloader()


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_differ_and_repeat(ramp_module: Make, workers: int) -> None:
    loaders = [_ready(ramp_module(num_workers=n)).train_dataloader() for n in (workers, 0)]
    first, second, again = _epoch(loaders[0], 0), _epoch(loaders[0], 1), _epoch(loaders[0], 0)
    assert first == again == _epoch(loaders[1], 0)
    assert first[0] != second[0]
    by_clip = [dict(zip(*epoch, strict=True)) for epoch in (first, second)]
    shared = by_clip[0].keys() & by_clip[1].keys() - {1}
    assert any(by_clip[0][clip] != by_clip[1][clip] for clip in shared)


def test_seed_changes_order_and_excerpts(ramp_module: Make) -> None:
    first, second = _ready(ramp_module(seed=0)), _ready(ramp_module(seed=1))
    assert _epoch(first.train_dataloader(), 0) != _epoch(second.train_dataloader(), 0)


def test_seed_of_the_run_is_the_default(ramp_module: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert ramp_module(seed=None).seed == 7
    assert ramp_module(seed=3).seed == 3


def test_evaluation_sees_every_clip_once_in_order_and_centred(ramp_module: Make) -> None:
    module = _ready(ramp_module(stream="waveform"))
    for loader, part in (
        (module.val_dataloader(), module.splits.val),
        (module.test_dataloader(), module.splits.test),
        (module.predict_dataloader(), module.splits.test),
    ):
        indices = [int(i) for batch in loader for i in batch["index"]]
        assert indices == part
        for batch in loader:
            for index, waveform in zip(batch["index"].tolist(), batch["waveform"], strict=True):
                start = 0 if index == 1 else 500
                # Half a step of 16 bits is 15 samples of the ramp.
                assert float(waveform[0]) == pytest.approx(index / 100 + start * 1e-6, abs=1.6e-5)


def test_training_can_be_central_too(ramp_module: Make) -> None:
    loader = _ready(ramp_module(random_excerpt=False)).train_dataloader()
    values = [dict(zip(*_epoch(loader, number), strict=True)) for number in (0, 1)]
    assert all(values[0][clip] == values[1][clip] for clip in values[0].keys() & values[1].keys())


def test_fixed_excerpts_are_the_same_in_all_epochs_and_runs(ramp_module: Make) -> None:
    seen: list[dict[int, float]] = []
    for seed in (0, 1):
        module = _ready(ramp_module(fixed_excerpt_seed=3, seed=seed, batch_size=20))
        loaders = [module.train_dataloader(), module.val_dataloader(), module.test_dataloader()]
        epochs = [_epoch(loaders[0], number) for number in (0, 1)]
        assert dict(zip(*epochs[0], strict=True)) == dict(zip(*epochs[1], strict=True))
        values = {}
        for loader in loaders:
            batch = next(iter(loader))
            scaled = batch["spectrogram"][:, 0, 0, 0] * module.frontend.std + module.frontend.mean
            values |= dict(zip(batch["index"].tolist(), scaled.tolist(), strict=True))
        seen.append(values)
    # The two seeds put clips into other parts, but cut them alike.
    assert len(seen[0]) == 20
    assert all(seen[0][clip] == pytest.approx(seen[1][clip], abs=1e-6) for clip in range(20))
    # Frame f of ramp i has the mean i/100 + 1e-6 * (100 f + 49.5).
    starts = {round((value - clip / 100 - 49.5e-6) / 1e-4) for clip, value in seen[0].items()}
    assert len(starts) > 4
    assert starts <= set(range(11))


def test_short_clip_is_repeated(ramp_module: Make) -> None:
    module = _ready(ramp_module(stream="both", count=5))
    dataset = module.train_dataloader().dataset
    dataset.positions = [1]
    item = dataset[(3, 0)]
    torch.testing.assert_close(item["spectrogram"][0, 3:6], item["spectrogram"][0, :3])
    torch.testing.assert_close(item["waveform"][300:600], item["waveform"][:300])


def test_whole_clips(ramp_module: Make) -> None:
    module = _ready(ramp_module(excerpt_seconds=None, batch_size=1))
    lengths = {batch["spectrogram"].shape[2] for batch in module.train_dataloader()}
    assert lengths <= {20, 3}
    mixed = _ready(ramp_module(excerpt_seconds=None, batch_size=12)).train_dataloader()
    mixed.dataset.positions = [0, 1, 2]
    with pytest.raises(ValueError, match="excerpt_seconds"):
        mixed.collate_fn([mixed.dataset[i] for i in range(3)])


@pytest.mark.parametrize(("batch_size", "batches"), [(5, 2), (12, 1), (100, 1)])
def test_incomplete_training_batch_is_dropped_only_behind_another(
    ramp_module: Make, batch_size: int, batches: int
) -> None:
    module = _ready(ramp_module(batch_size=batch_size))  # 12 training clips
    assert len(list(module.train_dataloader())) == batches
    assert sum(len(batch["index"]) for batch in module.val_dataloader()) == 4


def test_global_random_state_is_left_alone(ramp_module: Make) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    module = _ready(ramp_module())
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        list(loader)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])


def test_bad_clips_are_an_error_by_name(ramp_module: Make) -> None:
    with pytest.raises(ValueError, match="25 of 30") as caught:
        ramp_module(count=30, bad=set(range(5, 30))).prepare_data()
    text = str(caught.value)
    assert "ramp5: bad on purpose" in text
    assert text.count("bad on purpose") == 20
    assert "5 more" in text


def test_skipped_clips_do_not_move_the_others(ramp_module: Make) -> None:
    everything = ramp_module().split_clips()
    bad = {everything.train[0], everything.test[0]}
    module = ramp_module(bad=bad, on_bad_file="skip")
    with pytest.warns(UserWarning, match="2 of 20 clips cannot be used and are left out"):
        _ready(module)
    assert module.splits == everything.without(bad)
    assert len(module.clip_ids) == 20
    assert not bad & {int(i) for batch in module.train_dataloader() for i in batch["index"]}


def test_no_clip_left_is_an_error(ramp_module: Make) -> None:
    module = ramp_module(bad=set(range(20)), on_bad_file="skip", frontend=None, stream="waveform")
    with pytest.warns(UserWarning, match="20 of 20"):
        module.setup("fit")
    with pytest.raises(ValueError, match="no train clip"):
        module.train_dataloader()
    assert module.val_dataloader() == []


def test_second_start_computes_nothing(ramp_module: Make) -> None:
    _ready(ramp_module())
    module = _ready(ramp_module())
    list(module.train_dataloader())
    assert module.clips.source.loaded == []


@pytest.mark.parametrize(
    "wrong",
    [{"seed": -1}, {"batch_size": 0}, {"excerpt_seconds": 0.0}, {"fixed_excerpt_seed": -1}],
)
def test_settings_out_of_range(ramp_module: Make, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be >= 0"):
        ramp_module(**wrong)


def test_cache_folder_from_the_environment(
    ramp_module: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADYEAR_CACHE", str(tmp_path / "elsewhere"))
    _ready(ramp_module(cache_dir=None))
    assert list((tmp_path / "elsewhere" / "spectrogram").rglob("*.npy"))


class Recorder(LightningModule):
    """Writes down what it is shown."""

    def __init__(self, frontend: Any) -> None:
        super().__init__()
        self.frontend = frontend
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: Seen = []

    def setup(self, stage: str) -> None:
        if stage == "fit" and not self.frontend.fitted:
            fit_statistics(self.frontend, self.trainer.datamodule.spectrograms_to_fit())

    def training_step(self, batch: Any) -> torch.Tensor:
        values = [float(x.flatten()[0]) for x in batch["spectrogram"]]
        self.seen.append((self.current_epoch, batch["index"].tolist(), values))
        return (self.weight * batch["spectrogram"].mean()).sum()

    def test_step(self, batch: Any) -> None:
        self.seen.append((0, batch["index"].tolist(), [float(batch["spectrogram"].mean())]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def _trainer(folder: Path, epochs: int = 1) -> Trainer:
    return Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.filterwarnings("ignore")
def test_resumed_training_sees_what_an_uninterrupted_one_sees(
    ramp_module: Make, block_means: Make, tmp_path: Path
) -> None:
    whole = Recorder(block_means())
    _trainer(tmp_path, 4).fit(whole, ramp_module(frontend=whole.frontend))
    first, second = Recorder(block_means()), Recorder(block_means())
    trainer = _trainer(tmp_path, 2)
    trainer.fit(first, ramp_module(frontend=first.frontend))
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _trainer(tmp_path, 4).fit(
        second, ramp_module(frontend=second.frontend), ckpt_path=tmp_path / "half.ckpt"
    )
    assert {epoch for epoch, *_ in second.seen} == {2, 3}
    assert first.seen + second.seen == whole.seen
    orders = [
        [indices for _, indices, _ in group]
        for _, group in itertools.groupby(whole.seen, lambda seen: seen[0])
    ]
    assert len({str(order) for order in orders}) == 4


@pytest.mark.filterwarnings("ignore")
def test_tested_checkpoint_keeps_its_own_scale(
    ramp_module: Make, block_means: Make, tmp_path: Path
) -> None:
    trainer = _trainer(tmp_path)
    trained = Recorder(block_means(5.0, 2.0))
    trainer.fit(trained, ramp_module(frontend=trained.frontend))
    trainer.save_checkpoint(tmp_path / "scaled.ckpt")
    tested = Recorder(block_means())
    trainer = _trainer(tmp_path)
    trainer.test(
        tested, ramp_module(frontend=tested.frontend), tmp_path / "scaled.ckpt", verbose=False
    )
    # Positive and negative block means cancel: the mean of z-units is -mean/std.
    assert tested.seen[0][2][0] == pytest.approx(-2.5, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_data_without_training_clips_takes_the_scale_of_the_checkpoint(
    ramp_module: Make, block_means: Make, tmp_path: Path
) -> None:
    trainer = _trainer(tmp_path)
    trained, tested = Recorder(block_means(5.0, 2.0)), Recorder(block_means())
    trainer.fit(trained, ramp_module(frontend=trained.frontend))
    trainer.save_checkpoint(tmp_path / "scaled.ckpt")
    data = ramp_module(frontend=tested.frontend)
    data.split_clips = lambda: Splits([], [], list(range(20)))
    trainer = _trainer(tmp_path)
    trainer.test(tested, data, tmp_path / "scaled.ckpt", verbose=False)
    assert tested.seen[0][2][0] == pytest.approx(-2.5, abs=1e-5)
    with pytest.raises(ValueError, match="load a checkpoint"):
        trainer.test(tested, ramp_module(), verbose=False)


@pytest.mark.filterwarnings("ignore")
def test_overfitting_one_batch_works(ramp_module: Make, block_means: Make, tmp_path: Path) -> None:
    """Lightning then replaces the sampler by one that yields plain positions."""
    model = Recorder(block_means())
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=2, overfit_batches=1, accelerator="cpu",
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, ramp_module(frontend=model.frontend))
    assert model.seen[0][1:] == model.seen[1][1:]
