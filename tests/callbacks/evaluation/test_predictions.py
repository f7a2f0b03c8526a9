"""The table of predictions."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import torch

from steadyear.callbacks import PredictionTable
from steadyear.callbacks.evaluation import predictions as module


def test_clips_without_an_index_keep_apart_in_two_processes(tmp_path, monkeypatch):
    data = torch.arange(10.0).reshape(5, 2)
    tables = []
    for rank in range(2):
        trainer = SimpleNamespace(
            world_size=2,
            global_rank=rank,
            is_global_zero=True,
            default_root_dir=tmp_path,
            sanity_checking=False,
            predicting=True,
            predict_dataloaders=None,
        )
        table = PredictionTable()
        table.on_predict_epoch_start(trainer, None)
        for batch in data[rank::2].split(2):
            table.on_predict_batch_end(trainer, None, batch, (batch,), 0)
        tables.append(table)
    rows = tables[0]._rows + tables[1]._rows
    monkeypatch.setattr(module, "from_all_processes", lambda _: rows)
    tables[0].on_predict_epoch_end(trainer, None)
    written = pd.read_csv(tmp_path / "predictions.csv")
    assert written["clip"].tolist() == [0, 1, 2, 3, 4]
    assert written[["0", "1"]].to_numpy().tolist() == data.tolist()
