"""Attacks on small networks with their results in `attacks.json`: no change moves a figure unseen.

`python -m tests.golden.cases` writes the file again; only a new version of an attack is a reason to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadyear.attacks import (
    APGD,
    BIM,
    DDN,
    EOT,
    FGSM,
    FMN,
    L1,
    L2,
    MIFGSM,
    NES,
    NIFGSM,
    PGD,
    SNR,
    AbsoluteError,
    Attack,
    AttackResult,
    AudioAutoAttack,
    Ball,
    CarliniWagner,
    CrossEntropy,
    DeepFool,
    HopSkipJump,
    LabelMargin,
    Linf,
    Margin,
    Noise,
    RandomSearch,
    SignAdam,
    Square,
    SquaredError,
    Transfer,
    WorstOf,
)

FILE = Path(__file__).with_name("attacks.json")
CLIPS = 6
INDEX = torch.arange(CLIPS) * 7
Case = Callable[[], AttackResult]


def network(outputs: int, *, seed: int = 0, waveform: bool = False) -> nn.Module:
    """A small network in double precision with batch normalisation, in eval mode."""
    conv, norm = (nn.Conv1d, nn.BatchNorm1d) if waveform else (nn.Conv2d, nn.BatchNorm2d)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = [conv(1, 6, 3, stride=2), norm(6), nn.ReLU()]
        layers += [conv(6, 8, 3), norm(8), nn.ReLU(), nn.Flatten()]
        net = nn.Sequential(*layers, nn.LazyLinear(outputs))
        net(clips(waveform=waveform).float())
        for layer in net:
            if isinstance(layer, norm):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 2)
    return net.double().eval()


def clips(*, waveform: bool = False) -> Tensor:
    """Six spectrograms or waveforms in double precision."""
    generator = torch.Generator().manual_seed(11)
    shape = (CLIPS, 1, 96) if waveform else (CLIPS, 1, 9, 8)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def ratings() -> Tensor:
    """Targets of four ratings."""
    generator = torch.Generator().manual_seed(12)
    return torch.randn(CLIPS, 4, generator=generator, dtype=torch.float64)


def on_ratings(attack: Attack) -> Case:
    return lambda: attack(network(4), clips(), ratings(), index=INDEX)


def on_classes(attack: Attack) -> Case:
    net = network(5, seed=1)
    return lambda: attack(net, clips(), net(clips()).argmax(1), index=INDEX)


def on_labels(attack: Attack) -> Case:
    net = network(5, seed=2)
    return lambda: attack(net, clips(), (net(clips()) > 0).double(), index=INDEX)


def on_waveforms(attack: Attack) -> Case:
    net = network(4, waveform=True)
    return lambda: attack(net, clips(waveform=True), ratings(), index=INDEX)


def ensembles(suffix: str) -> dict[str, Case]:
    """AudioAutoAttack in both published versions, for both questions and in several balls.

    Args:
        suffix: Of the version: ``-quick`` or nothing.
    """
    runs: dict[str, tuple[Callable[[Attack], Case], Ball, str]] = {
        "ratings-linf": (on_ratings, Linf(0.3), "regression"),
        "ratings-l2": (on_ratings, L2(1.0), "regression"),
        "classes-linf": (on_classes, Linf(0.2), "multiclass"),
        "labels-linf": (on_labels, Linf(0.05), "multilabel"),
        "labels-l1": (on_labels, L1(3.0), "multilabel"),
        "waveforms-snr": (on_waveforms, SNR(0.3), "regression"),
    }
    kinds = {
        "1.0": {"version": f"1.0{suffix}"},
        "1.1-success": {"version": f"1.1{suffix}", "worst": "success"},
        "1.1-damage": {"version": f"1.1{suffix}", "worst": "damage"},
    }
    made: dict[str, Case] = {}
    for kind, settings in kinds.items():
        for run, (case, ball, task) in runs.items():
            attack = AudioAutoAttack(ball, task=task, **settings)  # type: ignore[arg-type]
            made[f"AudioAutoAttack-{kind}{suffix}-{run}"] = case(attack)
    return made


def solvers() -> dict[str, Case]:
    """One row for each of the other attacks, on ratings, classes and labels."""
    infinite = float("inf")
    error, margin, label = AbsoluteError(tolerance=0.2), Margin(), LabelMargin()
    return {
        "PGD": on_ratings(PGD(Linf(0.3))),
        "PGD-restarts": on_ratings(PGD(L2(1.0), restarts=3)),
        "PGD-l1": on_ratings(PGD(L1(4.0), steps=20)),
        "PGD-snr": on_waveforms(PGD(SNR(0.3))),
        "PGD-until_success": on_classes(PGD(Linf(0.2), CrossEntropy(), until_success=True)),
        "FGSM": on_classes(FGSM(Linf(0.2), CrossEntropy())),
        "BIM": on_ratings(BIM(Linf(0.3))),
        "MIFGSM": on_ratings(MIFGSM(Linf(0.3))),
        "NIFGSM": on_ratings(NIFGSM(L2(1.0))),
        "APGD": on_ratings(APGD(Linf(0.3), steps=20)),
        "APGD-restarts": on_classes(APGD(L2(1.0), CrossEntropy(), steps=20, restarts=2)),
        "APGD-l1": on_ratings(APGD(L1(4.0), steps=20)),
        "Square": on_classes(Square(Linf(0.2), margin, queries=60)),
        "NES": on_ratings(NES(Linf(0.3), steps=6, samples=10)),
        "RandomSearch": on_ratings(RandomSearch(L2(1.0), tries=20)),
        "Noise": on_ratings(Noise(Linf(0.3), tries=3)),
        "SignAdam": on_ratings(SignAdam()),
        "FMN": on_ratings(FMN(Linf(infinite), error, steps=40)),
        "FMN-l1": on_classes(FMN(L1(infinite), margin, steps=40)),
        "DDN": on_ratings(DDN(L2(infinite), error, steps=40)),
        "CarliniWagner": on_classes(CarliniWagner(L2(infinite), margin)),
        "DeepFool-classes": on_classes(DeepFool(L2(infinite), margin)),
        "DeepFool-labels": on_labels(DeepFool(Linf(infinite), label)),
        "HopSkipJump": on_classes(HopSkipJump(L2(infinite), margin, steps=4)),
        "EOT": on_ratings(EOT(PGD(Linf(0.3), steps=4), samples=2)),
        "WorstOf": on_ratings(
            WorstOf([PGD(Linf(0.3), objective) for objective in (SquaredError(), AbsoluteError())])
        ),
        "Transfer": on_ratings(Transfer(network(4, seed=5), PGD(Linf(0.3)))),
    }


def figures(result: AttackResult) -> dict[str, list[Any]]:
    """What is kept of a result: one value per clip."""
    names = ("objective", "size", "success", "gradient_queries", "forward_queries")
    return {name: getattr(result, name).tolist() for name in names}


def cases() -> dict[str, Case]:
    """All cases by name; those of the whole ensembles take a minute."""
    return solvers() | ensembles("-quick") | ensembles("")


if __name__ == "__main__":
    golden = {name: figures(case()) for name, case in cases().items()}
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(row)}" for name, row in golden.items())
    FILE.write_text(f"{{\n{rows}\n}}\n")
