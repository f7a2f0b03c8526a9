"""The attacks of the MER study against the released way, written plainly: time and results.

Run: python benchmarks/mer_attack.py
Prints tables and writes mer_attack.json into the working directory. Under 6 minutes on 2 free
cores; --rounds, --batch and --plain-steps make it shorter. Needs the dev extra; with librosa also
the released SNR is timed, without it the plain way is given that time for free.

The plain way attacks one clip at a time, with gradients of all parameters, and computes its metrics
in every step. Ours are the library's attacks as they are. Both see the same network at its full
width. All parts are measured in turn, so that a busy machine slows all of them alike; an attack of
n steps takes a fixed time and n times that of a step.

The floor is what the counted arithmetic of one gradient takes at the speed of a large matrix
product. Where bfloat16 products are no faster than those of fp32 (a processor without AMX), no
attack in bfloat16 can be faster.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy.stats import pearsonr
from sklearn.metrics import mean_squared_error
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from steadyear.attacks import PGD, AttackResult, Linf, SignAdam, SquaredError
from steadyear.attacks.core.crafting import Precision
from steadyear.lightning_modules import AudioVGG

FRAMES, BANDS, EMOTIONS = 313, 149, 8
RATE, EPS = 0.002, 0.001
FAST_RATE = 0.02  # reaches thresholds within the few steps that are compared
RUN_STEPS, TRAINING_STEPS, TRAINING_BATCH, TRAINING_CLIPS = 1000, 50, 8, 288
STATED_STEPS = (10, 20, 50)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
SIDE = 1536  # of the matrices that tell the machine's speed


def clips(number: int, frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Standardised spectrograms with a spectral shape, and ratings that depend on the shape."""
    shape = torch.randn(number, EMOTIONS, generator=generator)
    bands = torch.linspace(0, math.pi, BANDS)
    waves = torch.stack([torch.cos(k * bands) for k in range(EMOTIONS)])
    noise = torch.randn(number, 1, frames, BANDS, generator=generator)
    x = 0.8 * noise + 0.25 * (shape @ waves)[:, None, None]
    return x, 0.4 + 0.12 * shape


def trained(generator: torch.Generator, steps: int) -> nn.Module:
    """The study's network at full width, trained a little on short excerpts."""
    torch.manual_seed(0)
    model = nn.Sequential(AudioVGG(), nn.Linear(256, EMOTIONS))
    adam = torch.optim.Adam(model.parameters(), lr=5e-4)
    for _ in range(steps):
        training_step(model, adam, *clips(16, 24, generator))
    return model


def training_step(model: nn.Module, adam: torch.optim.Optimizer, x: Tensor, target: Tensor) -> None:
    """One ordinary step."""
    adam.zero_grad()
    nn.functional.mse_loss(model.train()(x), target).backward()
    adam.step()


@dataclass
class Clock:
    """Times of the steps of an attack, and of what surrounds them, in seconds per clip."""

    steps: list[float] = field(default_factory=list)
    fixed: list[float] = field(default_factory=list)

    def add(self, started: float, ticks: Sequence[float], ended: float, batch: int) -> None:
        """Take over the times of one attack; ``ticks`` are the ends of its looks at the model."""
        steps = [(b - a) / batch for a, b in pairwise(ticks)]
        self.steps += steps
        looks = len(ticks) * median(steps)
        self.fixed.append(max(0.0, (ended - started) / batch - looks))

    def seconds(self, looks: int, best: Callable[[list[float]], float] = median) -> float:
        """Time of one clip's attack with so many looks."""
        return looks * best(self.steps) + best(self.fixed)


class TimedError(SquaredError):
    """Squared error that notes when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: list[float] = []

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Note the time."""
        if prediction.requires_grad:
            self.ticks.append(time.perf_counter())
        return super().__call__(prediction, target)


def time_ours(clock: Clock, model: nn.Module, x: Tensor, y: Tensor, **more: object) -> AttackResult:
    """One run of ``SignAdam``, timed."""
    objective = TimedError()
    attack = SignAdam(objective, **more)  # type: ignore[arg-type]
    started = time.perf_counter()
    result = attack(model, x, y)
    clock.add(started, objective.ticks, time.perf_counter(), len(x))
    return result


@dataclass(frozen=True)
class Plain:
    """What the plain loop leaves of one clip."""

    kept: Tensor
    last: Tensor
    losses: list[float]
    ticks: list[float]


def plain_attack(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    steps: int,
    eps: float = math.inf,
    rate: float = RATE,
) -> Plain:
    """The released attack of one clip; a finite ``eps`` adds the projection that it only announced.

    As there, the gradients of the parameters are computed and pile up.
    """
    model.eval()
    delta = torch.zeros_like(x, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=rate)
    kept, tenths, losses, ticks = torch.zeros_like(x), None, [], []
    for step in range(steps + 1):
        prediction = model(x + delta)
        loss = nn.functional.mse_loss(prediction, target)
        found, wanted = prediction.detach().numpy()[0], target.numpy()[0]
        losses.append(float(mean_squared_error(wanted, found)))
        correlation = pearsonr(found, wanted).statistic
        tenths = math.ceil(10 * correlation) if tenths is None else tenths
        if correlation <= tenths / 10 and tenths / 10 >= -0.9:
            kept, tenths = delta.detach().clone(), tenths - 1
        if step == steps or (math.isinf(eps) and tenths / 10 < -0.9):
            break
        adam.zero_grad()
        (-loss).backward()
        delta.grad = delta.grad.sign()
        adam.step()
        with torch.no_grad():
            delta.clamp_(-eps, eps)
        ticks.append(time.perf_counter())
    return Plain(kept, delta.detach(), losses, ticks)


def released_snr(x: Tensor, delta: Tensor) -> float:
    """Seconds of the released SNR, once per clip: both arrays inverted as mel spectrograms."""
    try:
        librosa = importlib.import_module("librosa")
    except ImportError:
        return 0.0
    started = time.perf_counter()
    both = [
        librosa.amplitude_to_db(
            np.abs(librosa.feature.inverse.mel_to_stft(part[0, 0].T.numpy(), sr=22050))
        )
        for part in (x, delta)
    ]
    float((both[0] - both[1]).mean())
    return time.perf_counter() - started


@dataclass
class Parts:
    """All that is timed: seconds."""

    plain: Clock = field(default_factory=Clock)
    snr: list[float] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    ours: dict[tuple[int, Precision], Clock] = field(default_factory=dict)


def measure(model: nn.Module, x: Tensor, y: Tensor, rounds: int) -> Parts:
    """Time every part once per round, after a round that does not count."""
    other = nn.Sequential(AudioVGG(), nn.Linear(256, EMOTIONS))
    adam = torch.optim.Adam(other.parameters(), lr=5e-4)
    kinds = [(size, precision) for size in (len(x), TRAINING_BATCH) for precision in PRECISIONS]
    parts = Parts(ours={kind: Clock() for kind in kinds})
    plain_attack(model, x[:1], y[:1], 2)
    training_step(other, adam, x[:TRAINING_BATCH], y[:TRAINING_BATCH])
    released_snr(x[:1], torch.randn_like(x[:1]))  # the first call compiles
    for _ in range(rounds):
        for size, precision in kinds:
            time_ours(
                parts.ours[size, precision], model, x[:size], y[:size],
                steps=2, learning_rate=RATE, precision=precision,
            )  # fmt: skip
        started = time.perf_counter()
        run = plain_attack(model, x[:1], y[:1], 6)
        parts.plain.add(started, run.ticks, run.ticks[-1], 1)
        parts.snr.append(released_snr(x[:1], run.last))
        started = time.perf_counter()
        training_step(other, adam, x[:TRAINING_BATCH], y[:TRAINING_BATCH])
        parts.training.append(time.perf_counter() - started)
    return parts


def as_run(parts: Parts, batch: int, best: Callable[[list[float]], float]) -> dict[str, float]:
    """Seconds per clip of the whole attack, and how many times faster ours is."""
    plain = parts.plain.seconds(RUN_STEPS, best) + best(parts.snr)
    ours = {p: parts.ours[batch, p].seconds(RUN_STEPS + 1, best) for p in PRECISIONS}
    return compared(plain, plain - best(parts.snr), ours)


def training_epoch(parts: Parts, best: Callable[[list[float]], float]) -> dict[str, float]:
    """Seconds of an epoch with additional steps: per batch two training steps and one attack."""
    batches = TRAINING_CLIPS // TRAINING_BATCH
    steps = 2 * best(parts.training)
    looked, snr = parts.plain.seconds(TRAINING_STEPS, best), best(parts.snr)
    ours = {p: parts.ours[TRAINING_BATCH, p].seconds(TRAINING_STEPS + 1, best) for p in PRECISIONS}
    plain, without, *seconds = (
        batches * (steps + TRAINING_BATCH * each) for each in (looked + snr, looked, *ours.values())
    )
    return compared(plain, without, dict(zip(ours, seconds, strict=True)))


def compared(plain: float, without_snr: float, ours: dict[Precision, float]) -> dict[str, float]:
    """Seconds of the plain way and of ours, and their ratios."""
    row = {"plain": plain, "plain, without SNR": without_snr}
    for precision, seconds in ours.items():
        row[precision] = seconds
        row[f"{precision} times faster"] = plain / seconds
        row[f"{precision} times faster, without SNR"] = without_snr / seconds
    return row


def floor(model: nn.Module, x: Tensor, side: int = SIDE) -> dict[str, float]:
    """Counted arithmetic of one clip's gradient, and its time at the speed of matrix products."""
    model.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        point = x[:1].clone().requires_grad_()
        model(point).sum().backward()  # the counter does not bear autograd.grad
    model.requires_grad_()
    operations = counter.get_total_flops()
    row = {"GFLOP per gradient": operations / 1e9}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        factors = torch.randn(2, side, side).to(dtype)
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            torch.mm(factors[0], factors[1])
            seconds.append(time.perf_counter() - started)
        speed = 2 * side**3 / min(seconds)
        row[f"{precision} GFLOP/s"] = speed / 1e9
        row[f"{precision} ms per step and clip"] = 1e3 * operations / speed
    return row


def same_results(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> dict[str, dict[str, float]]:
    """What is kept of each clip, plainly and by ours."""
    kept = torch.cat(
        [plain_attack(model, x[[i]], y[[i]], steps, rate=FAST_RATE).kept for i in range(len(x))]
    )
    with torch.no_grad():
        loss = nn.functional.mse_loss(model(x + kept), y)
    rows: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        result = time_ours(
            Clock(), model, x, y, steps=steps, learning_rate=FAST_RATE, precision=precision
        )
        difference = result.perturbation - kept
        rows[precision] = {
            "share of values equal within 1e-6": float((difference.abs() <= 1e-6).float().mean()),
            "relative difference, L2": float(difference.norm() / kept.norm()),
            "loss of the plain one": float(loss),
            "loss": float(result.objective.mean()),
        }
    return rows


def as_stated(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> dict[str, dict[str, float]]:
    """Attacked loss and seconds per clip: the plain loop in the ball, and PGD."""
    started = time.perf_counter()
    runs = [plain_attack(model, x[[i]], y[[i]], steps, EPS) for i in range(len(x))]
    plain = (time.perf_counter() - started) / len(x)
    clean = sum(run.losses[0] for run in runs) / len(x)
    # The best iterate counts, though the released loop does not keep it.
    best = sum(max(run.losses) for run in runs) / len(x)
    rows = {f"plain, {steps} steps": {"seconds": plain, "clean loss": clean, "loss": best}}
    for number in STATED_STEPS:
        started = time.perf_counter()
        result = PGD(Linf(EPS), steps=number)(model, x, y)
        seconds = (time.perf_counter() - started) / len(x)
        loss = float(result.objective.mean())
        rows[f"PGD, {number} steps"] = {
            "seconds": seconds,
            "loss": loss,
            "loss, share of plain": loss / best,
            "gain, share of plain": (loss - clean) / (best - clean),
            "times faster": plain / seconds,
        }
    return rows


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=36)
    parser.add_argument("--plain-steps", type=int, default=1000, help="of the loop in the ball")
    parser.add_argument("--stated-clips", type=int, default=1)
    parser.add_argument("--training", type=int, default=60, help="steps before the attacks")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write."""
    options = arguments()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    model = trained(generator, options.training)
    x, y = clips(options.batch, FRAMES, generator)
    parts = measure(model, x, y, options.rounds)
    result: dict[str, Any] = {
        "threads": options.threads,
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "ms_per_step_and_clip": {
            "plain": figures(parts.plain.steps),
            **{f"{p}, batch {b}": figures(c.steps) for (b, p), c in parts.ours.items()},
            "released SNR, once": figures(parts.snr),
        },
        "floor": floor(model, x),
    }
    for name, best in (("median", median), ("minimum", min)):
        result[f"as_run, {RUN_STEPS} steps, seconds per clip ({name})"] = as_run(
            parts, options.batch, best
        )
        result[f"training epoch, seconds ({name})"] = training_epoch(parts, best)
    result["same results"] = same_results(model, x[:2], y[:2], 20)
    few = slice(options.stated_clips)
    result["as_stated"] = as_stated(model, x[few], y[few], options.plain_steps)
    show(result)
    Path("mer_attack.json").write_text(json.dumps(result, indent=2) + "\n")


def figures(seconds: list[float]) -> dict[str, float]:
    """Median and minimum in milliseconds."""
    return {"median": 1e3 * median(seconds), "minimum": 1e3 * min(seconds)}


def show(result: dict[str, Any], indent: str = "") -> None:
    """Print nested figures."""
    for name, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            show(value, indent + "  ")
        else:
            text = f"{value:.5g}" if isinstance(value, float) else value
            print(f"{indent}{name:<40} {text}")


if __name__ == "__main__":
    main()
