from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from steadyear.compare import compare
from steadyear.compare.command import terminal_text
from steadyear.foundation.records import ROBUSTNESS
from steadyear.import_logs.attack_logs import EMOTIONS, read_log
from steadyear.import_logs.command import import_logs
from tests.steadyear.compare_runs import write_run

HEADER = "file,epoch,db,norm,converged,true-label,orig-pred,new-pred,adv-target\n"
LABEL = "[[0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8]]"
ROW = "['{}.mp3.spec'],{},3.5,12.5,False,{},{},\"[[ 1.  2. -3.  4.\n  5.  6.  7.  8.e+00]]\",-0.4\n"


def row(clip: str = "146", iterations: object = 1000, label: str = LABEL) -> str:
    return ROW.format(clip, iterations, label, label)


def write_log(folder: Path, *rows: str, header: str = HEADER, newline: str = "\n") -> Path:
    path = folder / "a2e" / "seed6.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(rows), encoding="utf-8", newline=newline)
    return path


def test_an_unbounded_attack_stands_beside_bounded_ones(tmp_path: Path) -> None:
    for system in ("a", "b"):
        folder = write_run(tmp_path / "runs", system, grid=[("pgd", 0.1), ("pgd", 1.0)])
        table = pq.read_table(folder / "robustness.parquet")
        budgets = [0.1 if value == 0.1 else np.inf for value in table["budget"].to_pylist()]
        position = table.column_names.index("budget")
        table = table.set_column(position, "budget", [budgets])
        pq.write_table(table, folder / "robustness.parquet")
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    assert "pgd (spectrogram L∞) unbounded" in terminal_text(summary)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "0.1, unbounded." in " ".join(page.split())


def test_a_run_folder_is_like_those_of_steadyear_test(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", row("310"), row("146", 7), newline="\r\n")
    (folder,) = import_logs(tmp_path / "logs", tmp_path / "runs")
    assert folder == tmp_path / "runs" / "a2e" / "seed6"
    table = pq.read_table(folder / "robustness.parquet")
    assert {field.name: field.type for field in table.schema} == ROBUSTNESS.columns
    meaning = json.loads(table.schema.metadata[b"steadyear"])
    assert meaning == {"target_names": list(EMOTIONS), "concept_names": [], "stage": "test"}
    first = table.to_pylist()[0]
    assert (first["clip"], first["index"], first["gradient_queries"]) == ("146", 145, 7)
    assert (first["budget"], first["norm"], first["achieved_l2"]) == (np.inf, "l2", 12.5)
    assert (first["achieved_linf"], first["snr_db"], first["success"]) == (None, None, False)
    assert first["attacked_prediction"] == [1, 2, -3, 4, 5, 6, 7, 8]
    assert first["clean_error"] == 0
    assert first["attacked_error"] == pytest.approx(
        (0.9 + 1.8 + 3.3 + 3.6 + 4.5 + 5.4 + 6.3 + 7.2) / 8
    )
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["experiment"], facts["run"], facts["system"]) == ("published/a2e", "seed6", "a2e")
    assert (facts["seed"], facts["fit_seconds"], facts["attack_settings"]) == (6, None, None)


def test_published_and_own_results_stand_side_by_side(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", row("146"), row("310"))
    (published,) = import_logs(tmp_path / "logs", tmp_path / "runs")
    own = tmp_path / "runs" / "mer" / "seed6"
    shutil.copytree(published, own)
    facts = json.loads((own / "run.json").read_text())
    (own / "run.json").write_text(json.dumps(facts | {"experiment": "mer/a2e", "notes": []}))
    path = own / "robustness.parquet"
    table = pq.read_table(path)
    # The table of ratings circulates with two decimals, the logs come from one with four.
    target = [[value + 0.0003 for value in values] for values in table["target"].to_pylist()]
    position = table.column_names.index("target")
    pq.write_table(table.set_column(position, table.schema.field("target"), [target]), path)
    summary = compare([tmp_path / "runs"], tmp_path / "report")
    assert [each.label for each in summary.systems] == ["mer/a2e", "published/a2e"]
    assert (
        "True targets differ by up to 0.0003 between runs: some were rounded." in summary.warnings
    )
    assert any(line.startswith("published/a2e: imported") for line in summary.warnings)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "seed6.csv holds no attacked clip"),
        ([row(), row("310", label="[[0.1 0.2]]")], "line 4: true-label does not hold 8 numbers"),
        ([row(), "\n", row("310", "many")], "line 5: epoch is 'many'"),
        ([row(label=LABEL.replace("0.3", "x"))], "line 2: true-label has 'x', which is not a num"),
        ([row(label=LABEL.replace("0.3", "nan"))], "line 2: true-label has 'nan', .* not finite"),
        ([row(label=LABEL.replace("0.3 ", "... "))], "line 2: true-label has '...'"),
        ([row(), row()], "line 4: clip 146 is there twice"),
        ([row("one")], "line 2: file is "),
        ([row().replace("False", "maybe")], "line 2: converged is 'maybe'"),
        ([row().replace("12.5", "-1")], "line 2: norm is -1"),
        ([row(), "['310.mp3.spec'],1000\n"], "line 4: 2 values where the header has 9 names"),
        ([row(), row("310")[:-30]], "line 4: the row is damaged"),
    ],
)
def test_damage_is_named_by_file_and_line(tmp_path: Path, rows: list[str], message: str) -> None:
    path = write_log(tmp_path, *rows)
    with pytest.raises(ValueError, match=message) as error:
        read_log(path)
    assert str(path) in str(error.value)


def test_a_header_that_lacks_a_column(tmp_path: Path) -> None:
    path = write_log(tmp_path, row(), header=HEADER.replace("norm,", ""))
    with pytest.raises(ValueError, match="line 1: the header lacks norm"):
        read_log(path)


def test_nothing_is_written_where_one_log_is_damaged(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", row())
    (tmp_path / "logs" / "a2e" / "seed21.csv").write_text(HEADER)
    with pytest.raises(ValueError, match=r"seed21\.csv holds no"):
        import_logs(tmp_path / "logs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_folders_without_logs_and_broken_settings(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        import_logs(tmp_path / "nowhere", tmp_path / "runs")
    with pytest.raises(FileNotFoundError, match=r"holds no <system>/seed<N>\.csv"):
        import_logs(tmp_path, tmp_path / "runs")
    write_log(tmp_path / "logs", row())
    for text in ("- one", "a: [", "just words"):
        (tmp_path / "logs" / "attack_hparams.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"attack_hparams\.yaml"):
            import_logs(tmp_path / "logs", tmp_path / "runs")


def test_only_imported_runs_are_replaced(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", row())
    (folder,) = import_logs(tmp_path / "logs", tmp_path / "runs")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    import_logs(tmp_path / "logs", tmp_path / "runs")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "run.json").write_text('{"experiment": "mine"}')
    with pytest.raises(FileExistsError, match="no imported run"):
        import_logs(tmp_path / "logs", tmp_path / "runs")
