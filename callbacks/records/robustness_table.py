"""The table of a robustness evaluation: one row per clip, attack and budget."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

from steadyear.attacks import Attack, AttackResult, l2_norm, linf_norm, prediction_of, snr_db
from steadyear.callbacks.records.clip_measures import ClipMeasures
from steadyear.callbacks.records.clip_table import ClipTable, listed
from steadyear.foundation.records import ROBUSTNESS, RecordMetadata


@dataclass(frozen=True)
class Condition:
    """One attack at one budget.

    Attributes:
        name: Configured name of the attack.
        attack: The attack.
        budget: Its budget in the unit of the domain.
        domain: Where the perturbation lives.
    """

    name: str
    attack: Attack
    budget: float
    domain: str


@dataclass
class RobustnessTable(ClipTable):
    """One row per clip, attack and budget.

    Attributes:
        measures: How the module measures a clip.
    """

    measures: ClipMeasures = field(default_factory=ClipMeasures)

    def add(
        self,
        condition: Condition,
        result: AttackResult,
        target: Tensor,
        index: Tensor,
        target_concepts: Tensor | None,
        contributions: Tensor | None = None,
        waveform: AttackResult | None = None,
    ) -> None:
        """Add an attacked batch.

        Args:
            condition: Which attack at which budget.
            result: What it found.
            target: True values or classes of the clips.
            index: Stable numbers of the clips, shape (batch,).
            target_concepts: True concepts, where the data has them.
            contributions: What each part adds to the change of each prediction, shape (batch,
                targets, parts), where the module can tell.
            waveform: The result as waveforms, where it has any; gives the SNR.
        """
        clean, attacked = result.clean_output, result.output
        columns: dict[str, Tensor | None] = {
            "index": index,
            "achieved_linf": linf_norm(result.perturbation),
            "achieved_l2": l2_norm(result.perturbation),
            "achieved_size": result.size,
            "snr_db": _snr(waveform),
            "target": target.reshape(len(target), -1),
            "clean_prediction": prediction_of(clean),
            "attacked_prediction": prediction_of(attacked),
            "target_concepts": target_concepts,
            "clean_concepts": getattr(clean, "concepts", None),
            "attacked_concepts": getattr(attacked, "concepts", None),
            **self.measures.columns(result, target, condition.attack.objective),
            "success": result.success,
            "gradient_queries": result.gradient_queries,
            "forward_queries": result.forward_queries,
            "contributions": None if contributions is None else contributions.flatten(1),
        }
        shared = {
            "attack": condition.name,
            "domain": condition.domain,
            "norm": condition.attack.ball.norm,
            "budget": condition.budget,
        }
        values = {
            name: [None] * len(index) if column is None else listed(column)
            for name, column in columns.items()
        }
        self.add_rows(shared, values)

    def frame(self, metadata: RecordMetadata) -> pd.DataFrame:
        """The rows of all clips, each clip once, ordered by attack, budget and clip."""
        return ROBUSTNESS.frame(self.rows, metadata)


def stacked(frame: pd.DataFrame, column: str) -> Tensor:
    """A column of lists as a tensor, shape (clips, values)."""
    return torch.tensor(frame[column].tolist(), dtype=torch.float64)


def _snr(waveform: AttackResult | None) -> Tensor | None:
    # Only a waveform is a signal; standardised spectrograms have no signal-to-noise ratio.
    if waveform is None:
        return None
    clean = waveform.adversarial - waveform.perturbation
    return snr_db(clean.flatten(1), waveform.perturbation.flatten(1))
