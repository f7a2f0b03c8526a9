"""BirdSet's data sets: which clips there are, their labels and settings; two real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor

from steadyear.datamodules import BirdDataModule, BirdSetDataModule
from tests.datamodules.birdset_miniature import CODES, Make, epoch_of

CONFIGS = Path(__file__).parents[3] / "configs" / "data"


def test_label_space(make: Make, miniature: Path, tmp_path: Path) -> None:
    more = ["other1", "midowl", "zebdov", "other2", "abcwar1"]
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(more))}))
    data = make("test", label_space=str(tmp_path / "config.json"))
    assert data.target_names == more
    assert data.class_codes == CODES
    assert data.class_mask == [2, 4, 1]
    own = torch.cat([batch["target"] for batch in make("test").test_dataloader()])
    wide = torch.cat([batch["target"] for batch in data.test_dataloader()])
    assert torch.equal(wide[:, data.class_mask], own)
    assert wide.sum() == own.sum()
    assert make("test").class_mask is None
    with pytest.raises(FileNotFoundError, match=r"XCL_ebird_codes\.json"):
        make("test", label_space="XCL")


def test_class_list_from_the_tables(make: Make, miniature: Path) -> None:
    (miniature / "MIN_ebird_codes.json").unlink()
    with pytest.warns(UserWarning, match="alphabetical"):
        assert make("test").target_names == sorted(CODES)


def test_species_outside_of_the_class_list(make: Make, miniature: Path) -> None:
    labels = {"id2label": {"0": "zebdov", "1": "abcwar1"}}
    (miniature / "MIN_ebird_codes.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match=r"1 species .* class list of 2: midowl"):
        make("test")


def test_one_clip_for_every_event_of_the_biggest_cluster(make: Make) -> None:
    ids = [name for name in make().clip_ids if name.startswith("XC")]
    # Events by recording: two and noise, none known, none found, only noise; and so on.
    assert ids[:5] == ["XC0.ogg#0", "XC0.ogg#1", "XC1.ogg#0", "XC2.ogg#0", "XC3.ogg#0"]
    assert len(ids) == 3 * 5


def test_recordings_are_on_one_side(make: Make) -> None:
    data = make()
    sides = [{data.clip_ids[i].split("#")[0] for i in part} for part in data.splits[:2]]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 12
    assert len(sides[1]) == 2  # 20 % of 12
    other = make(split_seed=1)
    assert other.splits.val != data.splits.val
    assert make(seed=9).splits == data.splits


def test_test_clips_keep_their_index_without_training_data(make: Make, miniature: Path) -> None:
    both = make("fit").clip_ids
    training = make("fit")
    windows = epoch_of(training, 0)
    for path in miniature.glob("*_test*"):
        path.unlink()
    alone = make("fit")
    assert both[:5] + alone.clip_ids == both
    # Random windows do not shift either, although the index does.
    again = epoch_of(alone, 0)
    assert torch.equal(windows["waveform"], again["waveform"])
    assert torch.equal(windows["index"] - 5, again["index"])


def test_xcm_trains_on_all_and_validates_on_pow(make: Make, miniature: Path) -> None:
    root = miniature.parent
    shutil.copytree(miniature, root / "XCM")
    shutil.copytree(miniature, root / "POW")
    for path in [*(root / "XCM").iterdir(), *(root / "POW").iterdir()]:
        name = path.name.replace("MIN", path.parent.name)
        if path.parent.name == "XCM":
            name = name.replace("_train", "")
        path.rename(path.with_name(name))
    data = make(name="XCM")
    assert len(data.splits.train) == 15
    assert [data.clip_ids[i][:9] for i in data.splits.val] == ["Recording"] * 5
    (first, second) = data.val_dataloader()
    assert (first["target"].sum() + second["target"].sum()) == 5
    with pytest.raises(ValueError, match="XCM has no test clips"):
        make("test", name="XCM")


class Louder:
    """An augmentation that a configuration can name."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, power: Tensor, generator: torch.Generator) -> Tensor:
        return power * self.factor


@pytest.mark.parametrize("name", ["birdset", "bc6"])
def test_configurations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEADYEAR_DATA", "somewhere")
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    louder = {"class_path": f"{__name__}.Louder", "init_args": {"factor": 2.0}}
    config["init_args"]["spectrogram_augmentation"] = louder
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(BirdDataModule, "data")
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, BirdSetDataModule)
    assert data.spectrogram_augmentation.factor == 2.0


def test_settings_are_checked(make: Make) -> None:
    for wrong in ({"class_limit": 0}, {"val_share": 1.0}, {"batch_size": 0}, {"window_seconds": 0}):
        with pytest.raises(ValueError, match=r"must be|needs"):
            make(None, **wrong)
    with pytest.raises(RuntimeError, match="setup"):
        make(None).train_dataloader()


@pytest.fixture
def real(shared_data: Path, tmp_path: Path) -> Callable[[str], BirdSetDataModule]:
    """Real data through links, so that nothing is written beside it."""

    def build(name: str) -> BirdSetDataModule:
        (tmp_path / name).mkdir()
        for path in (shared_data / "birdset_layout" / name).glob("*_*.*"):
            (tmp_path / name / path.name).symlink_to(path)
        return BirdSetDataModule(name, str(tmp_path), stream="waveform", batch_size=64)

    return build


@pytest.mark.parametrize(
    ("name", "recordings", "classes", "clips", "no_calls"),
    [("BC6", 114, 6, 120, 29), ("NBM", 107, 18, 94, 9)],
)
def test_real_data(
    real: Callable[[str], BirdSetDataModule],
    name: str,
    recordings: int,
    classes: int,
    clips: int,
    no_calls: int,
) -> None:
    data = real(name)
    data.prepare_data()
    data.setup("fit")
    training = {data.clip_ids[i].split("#")[0] for i in data.splits.train}
    validation = {data.clip_ids[i].split("#")[0] for i in data.splits.val}
    assert len(training | validation) == recordings
    assert not training & validation
    assert len(data.target_names) == classes
    batch = next(iter(data.train_dataloader()))
    assert batch["waveform"].shape == (64, 160000)
    assert bool(batch["waveform"].any(1).all())
    data.setup("test")
    batches = list(data.test_dataloader())
    target = torch.cat([batch["target"] for batch in batches])
    assert target.shape == (clips, classes)
    assert int((target.sum(1) == 0).sum()) == no_calls
    assert (target.sum(1) > 1).any() == (name == "NBM")
