"""How large a perturbation has to be: what attacks that minimise the norm found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from steadyear.compare.load.cells import NORM_LABELS, Cell
from steadyear.compare.load.runs import Attacked, Floats
from steadyear.compare.render.pages import Table
from steadyear.compare.render.style import legend, look, panels
from steadyear.compare.render.text import MISSING, show
from steadyear.compare.statistics.spread import Spread
from steadyear.compare.statistics.summary import Summary, SystemSummary

MINIMAL_NORM: Final = "minimal-norm"
FIGURE_CAPTION: Final = (
    "Share of clips whose minimal norm is larger than the value on the axis; further up and further "
    "to the right is more robust. Clips that no perturbation flipped count at every value. Lines: "
    "mean over seeds; bands: lowest to highest seed."
)
_TABLE_CAPTION: Final = (
    "Smallest perturbation with which each attack reached its aim, in the norm and unit of the attack: "
    "quartiles over the flipped clips, to be read together with their share; 0 for clips that are "
    "beyond the aim without attack. Values are upper bounds: a better attack could need less."
)
STATISTICS: Final[Mapping[str, Callable[[Floats], float]]] = {
    "flipped": lambda norms: float(np.isfinite(norms).mean()),
    "lower_quartile": lambda norms: _quantile(norms, 0.25),
    "median": lambda norms: _quantile(norms, 0.5),
    "upper_quartile": lambda norms: _quantile(norms, 0.75),
}


@dataclass(frozen=True)
class Norms:
    """Minimal norms of the clips of one system under one attack.

    Attributes:
        system: The system.
        cell: The attack, at its largest cap.
        by_seed: Norms per seed, shape (clips,); infinite where the attack did not reach its aim.
    """

    system: SystemSummary
    cell: Cell
    by_seed: dict[int, Floats]

    def spread(self, statistic: str) -> Spread:
        """One of ``STATISTICS`` per seed; seeds where no clip was flipped have no quartiles.

        Args:
            statistic: Its name.

        Returns:
            The values.
        """
        values = {seed: STATISTICS[statistic](each) for seed, each in self.by_seed.items()}
        return Spread({seed: value for seed, value in values.items() if math.isfinite(value)})


def _quantile(norms: Floats, share: float) -> float:
    flipped = norms[np.isfinite(norms)]
    return float(np.quantile(flipped, share)) if flipped.size else math.nan


def minimal_norms(summary: Summary) -> dict[Cell, list[Norms]]:
    """Collect the minimal norms.

    Args:
        summary: The comparison.

    Returns:
        For every attack that minimises the norm, at its largest cap, the systems that met it.
    """
    largest = {cell.attack: cell for cell in summary.cells if cell.attack.minimal_norm}
    return {cell: _of_cell(summary, cell) for cell in largest.values()}


def _of_cell(summary: Summary, cell: Cell) -> list[Norms]:
    found = []
    for system in summary.systems:
        runs = [run for run in system.group.runs if cell in run.attacked]
        by_seed = {run.seed: _norms(run.attacked[cell]) for run in runs}
        if by_seed:
            found.append(Norms(system, cell, by_seed))
    return found


def _norms(attacked: Attacked) -> Floats:
    return np.where(attacked.success > 0, attacked.achieved_size, np.inf)


def minimal_norm_table(summary: Summary) -> Table:
    """Share of flipped clips and quartiles of their minimal norms.

    Args:
        summary: The comparison.

    Returns:
        The table; without rows where no attack minimises the norm.
    """
    rows = []
    for cell, systems in minimal_norms(summary).items():
        for norms in systems:
            cap = f"{cell.budget:g}" if cell.bounded else MISSING
            flipped, *quartiles = (norms.spread(name) for name in STATISTICS)
            numbers = [show(flipped, 2), *(show(each, 4) for each in quartiles)]
            rows.append([cell.attack.label, norms.system.label, cap, *numbers])
    header = ["attack", "system", "cap", "flipped", "25 %", "median", "75 %"]
    return Table("Minimal norms", _TABLE_CAPTION, header, rows, keys=2)


def minimal_norm_json(summary: Summary) -> list[dict[str, Any]]:
    """The numbers of :func:`minimal_norm_table`.

    Args:
        summary: The comparison.

    Returns:
        One mapping per attack and system; values are per seed.
    """
    return [
        {
            **{key: getattr(cell.attack, key) for key in ("name", "domain", "norm", "unit")},
            "cap": cell.budget if cell.bounded else None,
            "label": norms.system.label,
            **{name: dict(norms.spread(name).values) for name in STATISTICS},
        }
        for cell, systems in minimal_norms(summary).items()
        for norms in systems
    ]


def survival(norms: Floats, sizes: Floats) -> Floats:
    """Share of clips that no perturbation up to a size flips.

    Args:
        norms: Minimal norms, shape (clips,), infinite where none was found.
        sizes: Sizes, shape (sizes,).

    Returns:
        Shares, shape (sizes,).
    """
    return np.asarray((norms[None] > sizes[:, None]).mean(axis=1), dtype=np.float64)


def draw_minimal_norms(summary: Summary) -> Figure | None:
    """Draw the survival curves, one panel per attack, one line per system.

    Args:
        summary: The comparison.

    Returns:
        The figure; ``None`` where no attack minimises the norm.
    """
    found = minimal_norms(summary)
    if not found:
        return None
    figure, axes = panels(len(found), 2.8, 2.7)
    for axis, (cell, systems) in zip(axes, found.items(), strict=True):
        sizes = _axis(systems)
        for norms in systems:
            _curve(axis, norms, sizes, summary.systems.index(norms.system))
        axis.set_xscale("log")
        # Norms span about a decade, where the usual labels of minor ticks overlap.
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlim(sizes[0], sizes[-1])
        axis.set_ylim(-0.03, 1.03)
        axis.set_title(cell.attack.name, fontweight="bold")
        axis.set_xlabel(
            f"{cell.attack.domain} {NORM_LABELS[cell.attack.norm]} [{cell.attack.unit}]"
        )
    figure.supylabel("share of clips not flipped", fontsize=9)
    # A system may have missed the attack of the first panel.
    legend(max(axes, key=lambda axis: len(axis.get_lines())), figure)
    return figure


def _axis(systems: Sequence[Norms]) -> Floats:
    every = np.concatenate([norms for each in systems for norms in each.by_seed.values()])
    shown = every[np.isfinite(every) & (every > 0)]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (1.0, 1.0)
    return np.geomspace(low / 1.5, high * 1.5, 400)


def _curve(axis: Axes, norms: Norms, sizes: Floats, position: int) -> None:
    seeds = np.stack([survival(each, sizes) for each in norms.by_seed.values()])
    color, _ = look(position)
    axis.fill_between(sizes, seeds.min(0), seeds.max(0), color=color, alpha=0.18, lw=0)
    axis.plot(sizes, seeds.mean(0), color=color, label=norms.system.label)
