"""Wrong concept labels: which clips, how wrong, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from steadyear.datamodules import ConceptNoise, SyntheticMusic
from steadyear.datamodules.datasets.synthetic_music.emotions import emotions_from_concepts
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank

NAMES = [f"clip{i}" for i in range(200)]
TRAIN = list(range(20, 180))
TRUE = torch.rand(200, 7, generator=torch.Generator().manual_seed(0))


def moved(altered: torch.Tensor) -> list[int]:
    return [clip for clip in range(len(TRUE)) if not torch.equal(altered[clip], TRUE[clip])]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.25, 40), (0.5, 80), (1.0, 160)])
def test_the_share_of_training_clips_change_places(share, count):
    altered = ConceptNoise(shuffle=share).apply(TRUE, TRAIN, NAMES, seed=0)
    changed = moved(altered)
    # Nobody keeps its own labels, and whole vectors move: the collection stays what it was.
    assert len(changed) == count
    assert set(changed) <= set(TRAIN)
    given = {tuple(row) for row in altered[changed].tolist()}
    assert given == {tuple(row) for row in TRUE[changed].tolist()}


def test_a_larger_share_contains_the_smaller():
    quarter, half = (
        set(moved(ConceptNoise(shuffle=s).apply(TRUE, TRAIN, NAMES, 0))) for s in (0.25, 0.5)
    )
    assert quarter < half


def test_noise_is_gaussian_in_units_of_each_concept():
    wide = TRUE * torch.tensor([1.0, 2, 3, 4, 5, 6, 7])
    clips = list(range(200))
    noise = ConceptNoise(sigma=0.5).apply(wide, clips, NAMES, 0) - wide
    relative = noise / wide.std(0, correction=0)
    assert float(relative.std()) == pytest.approx(0.5, rel=0.05)
    assert float(relative.mean()) == pytest.approx(0, abs=0.03)
    # Gaussian: the fourth moment is three times the squared variance.
    assert float((relative**4).mean() / relative.var() ** 2) == pytest.approx(3, abs=0.4)
    assert np.abs(np.corrcoef(relative.T.numpy()) - np.eye(7)).max() < 0.3


def test_labels_depend_on_seed_and_clip_alone():
    noise = ConceptNoise(shuffle=0.5, sigma=0.3)
    one = noise.apply(TRUE, TRAIN, NAMES, 1)
    assert torch.equal(one, noise.apply(TRUE, TRAIN[::-1], NAMES, 1))
    assert not torch.equal(one, noise.apply(TRUE, TRAIN, NAMES, 2))
    own = ConceptNoise(shuffle=0.5, sigma=0.3, seed=1)
    assert torch.equal(one, own.apply(TRUE, TRAIN, NAMES, 2))
    # Clips in another order: the same names have the same labels.
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    place = {int(old): new for new, old in enumerate(order)}
    other = noise.apply(TRUE[order], [place[c] for c in TRAIN], [NAMES[i] for i in order], 1)
    torch.testing.assert_close(other, one[order])


def test_a_single_clip_keeps_its_labels():
    assert torch.equal(ConceptNoise(shuffle=1.0).apply(TRUE, [3], NAMES, 0), TRUE)


@pytest.mark.parametrize("wrong", [{"shuffle": 1.5}, {"sigma": -1.0}, {"sigma": float("nan")}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        ConceptNoise(**wrong)


def concepts_seen(module: SyntheticMusic) -> dict[str, dict[str, torch.Tensor]]:
    module.prepare_data()
    module.setup("fit")
    loaders = {
        "train": module.train_dataloader(),
        "val": module.val_dataloader(),
        "test": module.test_dataloader(),
    }
    return {
        part: {
            module.clip_ids[i]: concepts
            for batch in loader
            for i, concepts in zip(batch["index"], batch["concepts"], strict=True)
        }
        for part, loader in loaders.items()
    }


def test_only_training_batches_see_the_noise(tmp_path: Path):
    def make(**settings: object) -> SyntheticMusic:
        return SyntheticMusic(
            (6, 2, 2),
            frontend=LogFilterbank(mean=0.0, std=1.0),
            cache_dir=str(tmp_path),
            excerpt_seconds=2.0,
            concept_noise=ConceptNoise(shuffle=1.0),
            **settings,
        )

    module = make(batch_size=6, rater_noise=0.0)
    seen = concepts_seen(module)
    for part, clips in seen.items():
        for name, concepts in clips.items():
            true = module.clips.concepts[module.clip_ids.index(name)]
            assert torch.equal(true, concepts) == (part != "train")
    # Targets stay those of the clip, not of the clip whose concepts it has.
    batch = next(iter(module.train_dataloader()))
    true = module.clips.concepts[batch["index"]].double().numpy()
    np.testing.assert_allclose(batch["target"], emotions_from_concepts(true), atol=1e-6)
    # Another order, other batches and worker processes change nothing.
    other = concepts_seen(make(batch_size=3, num_workers=1, seed=module.seed))
    for name, concepts in seen["train"].items():
        assert torch.equal(concepts, other["train"][name])
    again = concepts_seen(make(batch_size=6, seed=module.seed + 1))
    assert any(not torch.equal(c, again["train"][name]) for name, c in seen["train"].items())


def test_data_without_concepts_refuses_noise(ramp_module):
    with pytest.raises(ValueError, match="concept_noise needs data with concepts"):
        ramp_module(concept_noise=ConceptNoise(shuffle=0.5))
