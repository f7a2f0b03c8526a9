from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import random_split

from steadyear.datamodules import SoundtracksDataModule
from steadyear.datamodules.datasets.soundtracks.layout import number_ranges
from steadyear.lightning_modules.frontends.log_filterbank import LogFilterbank
from steadyear.lightning_modules.frontends.statistics import fit_statistics

Make = Callable[..., SoundtracksDataModule]

EMOTIONS = ["valence", "energy", "tension", "anger", "fear", "happy", "sad", "tender"]
CONCEPTS = ["melody", "articulation", "rhythm_complexity", "rhythm_stability", "dissonance"]
CONCEPTS += ["atonality", "mode"]

# From torch.utils.data.random_split(range(360), [288, 36, 36], Generator().manual_seed(42)).
FIRST_TRAIN = [222, 27, 96, 253, 274]
FIRST_VAL = [32, 341, 171, 13, 203]
TEST = [145, 309, 334, 328, 56, 256, 166, 173, 307, 33, 64, 218, 356, 186, 68, 48, 75, 121]
TEST += [18, 7, 92, 125, 20, 300, 297, 189, 322, 323, 262, 312, 174, 324, 228, 131, 339, 110]


def _ratings(
    delimiter: str = ",", end: str = "\n", bom: str = "", capitals: bool = False, empty: int = 0
) -> bytes:
    """Emotion e of clip n is (n % 60 + e + 10) / 10."""
    names = ["number", *EMOTIONS, "TARGET"]
    names = [name.capitalize() for name in names[:-1]] + ["TARGET"] if capitals else names
    rows = [names + [f"Unnamed: {10 + i}" for i in range(empty)]]
    for n in range(1, 361):
        values = [f"{(n % 60 + e + 10) / 10:.2f}" for e in range(8)]
        rows.append([f"{n:03d}", *values, "HIGH VALENCE", *[""] * empty])
    return (bom + "".join(delimiter.join(row) + end for row in rows)).encode()


def _annotations() -> str:
    """Concept c of song s is (s % 50 + c) / 10; songs 1 to 4 are no film music."""
    header = "song_id, melody, articulation,rhythm_complexity,rhythm_stability,dissonance"
    lines = [header + ",atonality,mode"]
    for song in [*range(1, 5), *range(3576, 3936)]:
        values = [f"{(song % 50 + c) / 10:.12g}" for c in range(7)]
        lines += [",".join([str(song), *values])]
    return "\n".join(lines)


def _metadata() -> list[str]:
    lines = ["song id;Source;ID at file source;Title;Artist;Album name"]
    lines += [f"{song};jamendo;tr_{song};a;b;c" for song in range(1, 5)]
    return lines + [f"{3575 + n};soundtracks;{n};;;" for n in range(1, 361)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The published layout with invented tables and empty clips."""
    folder = tmp_path / "soundtracks"
    (folder / "Set1").mkdir(parents=True)
    (folder / "metadata_annotations").mkdir()
    (folder / "mean_ratings_set1.csv").write_bytes(_ratings())
    (folder / "metadata_annotations" / "annotations.csv").write_text(_annotations())
    (folder / "metadata_annotations" / "metadata.csv").write_text("\n".join(_metadata()))
    for n in range(1, 361):
        (folder / "Set1" / f"{n:03d}.mp3").touch()
    return folder


@pytest.fixture
def module(root: Path, tmp_path: Path) -> Make:
    def make(**kwargs: Any) -> SoundtracksDataModule:
        return SoundtracksDataModule(str(root), cache_dir=str(tmp_path / "cache"), **kwargs)

    return make


def _expected() -> tuple[torch.Tensor, torch.Tensor]:
    n = torch.arange(1, 361)[:, None]
    targets = (n % 60 + torch.arange(8) + 10) / 100
    return targets, ((3575 + n) % 50 + torch.arange(7)) / 100


@pytest.mark.parametrize(
    "variant",
    [
        {"bom": "\ufeff", "end": "\r\n"},
        {},
        {"delimiter": "\t", "bom": "\ufeff", "end": "\r\n"},
        {"capitals": True, "empty": 2},
    ],
)
def test_every_circulating_table_gives_the_same_targets(
    module: Make, root: Path, variant: dict[str, Any]
) -> None:
    (root / "mean_ratings_set1.csv").write_bytes(_ratings(**variant))
    clips = module().clips
    targets, concepts = _expected()
    torch.testing.assert_close(clips.targets, targets)
    torch.testing.assert_close(clips.concepts, concepts)
    assert (clips.target_names, clips.concept_names) == (EMOTIONS, CONCEPTS)
    assert clips.source.clip_ids[::359] == ["001", "360"]


def test_empty_column_names_behind_the_last(module: Make, root: Path) -> None:
    text = _ratings(empty=2).decode()
    (root / "mean_ratings_set1.csv").write_text(text.replace("Unnamed: 10,Unnamed: 11", ","))
    torch.testing.assert_close(module().clips.targets, _expected()[0])


def test_order_of_rows_does_not_matter(module: Make, root: Path) -> None:
    """Positions are numbers of clips, so the split is that of the published order."""
    for name in ("mean_ratings_set1.csv", "metadata_annotations/metadata.csv"):
        lines = (root / name).read_text().splitlines()
        (root / name).write_text("\n".join([lines[0], *reversed(lines[1:])]))
    torch.testing.assert_close(module().clips.targets, _expected()[0])
    torch.testing.assert_close(module().clips.concepts, _expected()[1])


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("metadata", "\n3580;", "\n9999;", r"metadata\.csv and .*annotations\.csv disagree.* 9999"),
        ("metadata", ";soundtracks;5;", ";soundtracks;6;", r"missing: 5; more than once: 6\."),
        ("metadata", ";soundtracks;5;", ";soundtracks;361;", "missing: 5; unknown: 361"),
        ("metadata", ";soundtracks;5;", ";mirex;5;", r"metadata\.csv must have .* missing: 5\."),
        ("metadata", ";soundtracks;5;", ";soundtracks;fifth;", "fifth are no numbers"),
        ("metadata", "\n3581;", "\n3580;", "more than once: 3580"),
        ("metadata", "ID at file source", "id", "no column 'id at file source'"),
        ("annotations", "\n3580,", "\n9999,", r"disagree.* 3580"),
        ("annotations", "dissonance", "dissonant", "no column 'dissonance'"),
        ("mean_ratings", "\n007,", "\n361,", r"set1\.csv must .*missing: 7; unknown: 361"),
        ("mean_ratings", "\n007,", "\n,", "line 8 has no id"),
        ("mean_ratings", "007,1.70", "007,n/a", "column 'valence'.*007"),
    ],
)
def test_ids_and_values_that_do_not_fit_are_named(
    module: Make, root: Path, table: str, old: str, new: str, message: str
) -> None:
    _replace(next(root.rglob(f"{table}*.csv")), old, new)
    with pytest.raises(ValueError, match=message):
        module()


def test_metadata_under_other_names(module: Make, root: Path) -> None:
    """Only the rows of Soundtracks, as in a table that somebody has rebuilt."""
    folder = root / "metadata_annotations"
    lines = _metadata()
    (folder / "metadata.csv").unlink()
    (folder / "metadata_rebuilt.csv").write_text("\n".join([lines[0], *lines[5:]]))
    with pytest.warns(UserWarning, match=r"metadata_rebuilt\.csv beside it is read instead"):
        torch.testing.assert_close(module().clips.concepts, _expected()[1])
    shutil.copy(folder / "metadata_rebuilt.csv", folder / "metadata_other.csv")
    with pytest.raises(ValueError, match=r"metadata_other\.csv, metadata_rebuilt\.csv; name one"):
        module()
    assert module(midlevel_metadata="metadata_rebuilt.csv").concept_names == CONCEPTS
    elsewhere = shutil.move(folder / "metadata_other.csv", root / "other.csv")
    assert module(midlevel_metadata=str(elsewhere)).concept_names == CONCEPTS


def test_split_is_the_published_one(module: Make) -> None:
    generator = torch.Generator().manual_seed(42)
    expected = random_split(range(360), [288, 36, 36], generator)
    split = module(seed=7).split_clips()
    assert [list(part.indices) for part in expected] == list(split)
    assert [len(part) for part in split] == [288, 36, 36]
    assert (split.train[:5], split.val[:5], split.test) == (FIRST_TRAIN, FIRST_VAL, TEST)


def test_missing_things_are_listed_in_one_message(module: Make, root: Path) -> None:
    (root / "mean_ratings_set1.csv").unlink()
    (root / "metadata_annotations" / "annotations.csv").unlink()
    for n in (2, 3, 4, 9):
        (root / "Set1" / f"{n:03d}.mp3").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        module()
    text = str(caught.value)
    assert str(root / "mean_ratings_set1.csv") in text
    assert str(root / "metadata_annotations" / "annotations.csv") in text
    assert "metadata.csv" not in text
    assert "4 of 360 clips" in text
    assert "NNN = 002-004, 009\n" in text
    assert text.index("Mid-level") > text.index("NNN")
    assert "Eerola & Vuoskoski" in text
    assert "Aljanaki & Soleymani" in text
    assert text.count("OSF") == 2
    assert "allow_missing: true" in text


def test_tables_are_needed_whatever_clips_may_be_missing(module: Make, root: Path) -> None:
    (root / "metadata_annotations" / "metadata.csv").unlink()
    (root / "Set1" / "001.mp3").unlink()
    with pytest.raises(FileNotFoundError, match=r"metadata\.csv") as caught:
        module(allow_missing=True)
    assert "clips" not in str(caught.value)


def test_no_clip_at_all_is_refused(module: Make, root: Path) -> None:
    shutil.rmtree(root / "Set1")
    with pytest.raises(FileNotFoundError, match=r"360 of 360 clips.*001-360"):
        module(allow_missing=True)


def test_clips_stay_in_their_parts_when_others_are_missing(module: Make, root: Path) -> None:
    full = module().split_clips()
    absent = {full.train[0], full.train[5], full.test[1]}
    for clip in absent:
        (root / "Set1" / f"{clip + 1:03d}.mp3").unlink()
    with pytest.warns(UserWarning, match="train 286 of 288, val 36 of 36, test 35 of 36"):
        partial = module(allow_missing=True)
    assert partial.split_clips() == full.without(absent)
    assert len(partial.clip_ids) == 360


def test_ranges() -> None:
    assert number_ranges([1, 2, 3, 5, 7, 8]) == "001-003, 005, 007-008"
    assert number_ranges([360]) == "360"


@pytest.fixture
def heard(root: Path, module: Make) -> Make:
    """Five training clips, one for validation, two for testing: noise, with silence around it."""
    full = module().split_clips()
    chosen = [*full.train[:5], *full.val[:1], *full.test[:2]]
    shutil.rmtree(root / "Set1")
    (root / "Set1").mkdir()
    for i, clip in enumerate(chosen):
        rng = np.random.default_rng(clip)
        samples = np.pad(rng.uniform(-0.3, 0.3, 8000 * (7 if i == 0 else 12 + i)), 400)
        # A WAV file in all but name: what a file is, its content says.
        soundfile.write(root / "Set1" / f"{clip + 1:03d}.mp3", samples, 8000, format="WAV")
    return lambda **kwargs: module(allow_missing=True, **kwargs)


def _excerpts(loader: Any) -> dict[int, torch.Tensor]:
    dataset = loader.dataset
    return {
        int(item["index"]): item["spectrogram"] for item in map(dataset.__getitem__, _keys(dataset))
    }


def _keys(dataset: Any) -> list[tuple[int, int]]:
    return [(epoch, position) for epoch in (0, 3) for position in range(len(dataset))]


@pytest.mark.filterwarnings("ignore:Soundtracks")
def test_excerpts_and_scale_are_those_of_the_published_procedure(heard: Make) -> None:
    """Written from its description: one generator, one draw per clip in order of their numbers."""
    frontend = LogFilterbank()
    data = heard(frontend=frontend, seed=5)
    data.prepare_data()
    data.setup("fit")
    fit_statistics(frontend, data.spectrograms_to_fit())
    clips = data.splits.clips
    raw = {clip: data._spectrograms.load(clip) for clip in clips}
    mean = np.mean([values.mean(dtype=np.float64) for values in raw.values()])
    square = np.mean([((values - mean) ** 2).mean(dtype=np.float64) for values in raw.values()])
    assert float(frontend.mean) == pytest.approx(mean, rel=1e-6)
    assert float(frontend.std) == pytest.approx(square**0.5, rel=1e-6)

    generator = torch.Generator().manual_seed(42)
    expected = {}
    for clip in range(360):
        frames = len(raw[clip]) if clip in raw else 450
        repeated = np.concatenate([raw[clip]] * 2)[:313] if frames < 313 else raw.get(clip)
        start = int(torch.randint(0, max(frames, 313) - 313 + 1, (1,), generator=generator))
        if clip in raw:
            expected[clip] = (repeated[start : start + 313] - mean) / square**0.5
    assert min(map(len, raw.values())) < 313
    found = {}
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        found |= _excerpts(loader)
    assert found.keys() == expected.keys() == set(clips)
    for clip, values in found.items():
        np.testing.assert_allclose(values[0].numpy(), expected[clip], atol=1e-4)


@pytest.mark.filterwarnings("ignore:Soundtracks")
def test_excerpts_are_the_same_for_every_run(heard: Make) -> None:
    seen = []
    for seed, settings in ((0, {}), (1, {}), (0, {"fixed_excerpt_seed": None})):
        data = heard(frontend=LogFilterbank(mean=0.0, std=1.0), seed=seed, **settings)
        data.setup("fit")
        seen.append(_excerpts(data.train_dataloader()))
    assert all(torch.equal(seen[0][clip], seen[1][clip]) for clip in seen[0])
    assert any(not torch.equal(seen[0][clip], seen[2][clip]) for clip in seen[0])


@pytest.mark.filterwarnings("ignore:Soundtracks")
def test_empty_parts_say_so(heard: Make, root: Path) -> None:
    full = heard().split_clips()
    for clip in full.train + full.val:
        (root / "Set1" / f"{clip + 1:03d}.mp3").unlink()
    data = heard(frontend=LogFilterbank())
    data.setup("fit")
    assert data.val_dataloader() == []
    with pytest.raises(ValueError, match="no train clip"):
        data.train_dataloader()
    data = heard(frontend=LogFilterbank(), statistics="train")
    data.setup("fit")
    with pytest.raises(ValueError, match="No training clip"):
        fit_statistics(data.frontend, data.spectrograms_to_fit())
