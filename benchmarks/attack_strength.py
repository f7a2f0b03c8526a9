"""How strong our attacks are beside those of other libraries: same models, budgets, gradients.

Run: python benchmarks/attack_strength.py [--quick]
Prints tables and writes attack_strength.json into the working directory. Needs the bench extra; a
library that is not installed is left out. 15 minutes on one core.

Four questions, each on an ordinary model and an adversarially trained one. (a) Single-label
classifiers, where all libraries work: robust accuracy. (b) Regression with eight outputs: error
added. (c) Multi-label: cross-entropy added, cmAP lost, labels flipped. (d) Minimal norms.

Every adversarial is judged by the same code. All gradients and forward passes are counted at the
model. Attacks of one comparison have the same ball, steps, step size, and start, where their library
lets it be given. In (b) and (c) other libraries get the loss that their users would write, and
once more our own objective for the figure that is judged, where it can be handed in. Beside
AudioAutoAttack, asked for damage or for broken clips as the figure says, the others get so many
starts that they take no fewer gradients, and keep each clip's worst by the same objective.
"""

from __future__ import annotations

import argparse

import attack_peers as peers
import torch
from attack_report import Report
from strength_classes import class_tasks, part_a
from strength_damage import part_b, part_c
from strength_minimal import part_d
from strength_runs import QUICK, Extent


def main(arguments: list[str] | None = None) -> None:
    """Compare everything that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run, of no meaning")
    parser.add_argument("--parts", default="abcd")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    report, found = Report(options.threads), peers.installed()
    peers.report_missing(found)
    extent = QUICK if options.quick else Extent()
    tasks = class_tasks(extent) if set(options.parts) & set("ad") else {}
    if "a" in options.parts:
        part_a(report, tasks, found, extent)
    if "b" in options.parts:
        part_b(report, found, extent)
    if "c" in options.parts:
        part_c(report, found, extent)
    if "d" in options.parts:
        part_d(report, tasks, found, extent)
    report.write("attack_strength.json")


if __name__ == "__main__":
    main()
