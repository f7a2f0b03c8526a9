"""How fast synthetic clips are made: synthesis, front end and cache, with all cores.

Run: python benchmarks/synthetic_music.py
Prints one line and writes synthetic_music.json into the working directory.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import torch

from steadyear.datamodules import SyntheticMusic
from steadyear.lightning_modules import LogFilterbank

CLIPS = 200


def clips_per_second() -> float:
    """Clips per second from nothing to the cache on disk."""
    with tempfile.TemporaryDirectory() as cache:
        music = SyntheticMusic(
            num_clips=(CLIPS - 2, 1, 1), frontend=LogFilterbank(), cache_dir=cache
        )
        started = time.perf_counter()
        music.prepare_data()
        return CLIPS / (time.perf_counter() - started)


def main() -> None:
    """Measure three times and keep the median."""
    figures = sorted(clips_per_second() for _ in range(3))
    result = {"clips_per_second": round(figures[1], 1), "threads": torch.get_num_threads()}
    print(f"{result['clips_per_second']} clips/s with {result['threads']} threads: 10 s each")
    Path("synthetic_music.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
