from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from steadyear.compare import Summary, compare, main
from steadyear.compare.render.text import format_table, show
from steadyear.compare.statistics.spread import Spread
from tests.steadyear.compare_runs import CONCEPTS, GRID, write_run

FULL_PICTURES = True
PICTURES = {
    *("robustness-mae", "robustness-r", "delta-mae", "concepts"),
    *("differences", "predictions", "cost"),
}

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects every attribute, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            self.values.setdefault(key, []).append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    root = tmp_path_factory.mktemp("compare")
    for seed in (0, 1):
        write_run(root / "runs", "a2e", seed, weakness=2.0)
        write_run(root / "runs", "a2mid2e", seed, concepts=CONCEPTS)
    return root, compare([root / "runs"], root / "report")


def test_the_page_needs_nothing_else(report: tuple[Path, Summary]) -> None:
    folder = report[0] / "report"
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "href" not in page.values
    assert not re.search(r"https?://|url\(|@import|<script|<link", text)
    images = [base64.b64decode(source.split(",", 1)[1]) for source in page.values["src"]]
    assert {*images} == {path.read_bytes() for path in folder.glob("*.png")}
    assert len(images) == len(PICTURES)
    assert all(image.startswith(b"\x89PNG\r\n\x1a\n") for image in images)
    assert len(page.values["alt"]) == len(images)


def test_the_page_tells_what_was_compared(report: tuple[Path, Summary]) -> None:
    root, summary = report
    text = (root / "report" / "index.html").read_text(encoding="utf-8")
    wanted = ["demo/a2e-seed1", "12 clips", "z-units", "2.11.0", "12,345"]
    wanted += [*CONCEPTS, *summary.readings, "2 seeds each", "no test over seeds is made"]
    for words in wanted:
        assert words in text, words
    assert str(root) not in text


def test_names_are_escaped(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "<b>&system", name="run", grid=[("pgd", 0.1)])
    compare([folder], tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;system" in text
    assert "<b>" not in text


def test_the_same_runs_give_the_same_bytes(report: tuple[Path, Summary]) -> None:
    root, _ = report
    runs = sorted((root / "runs" / "demo").iterdir(), reverse=True)
    compare(runs, root / "again")
    for file in (root / "report").iterdir():
        assert file.read_bytes() == (root / "again" / file.name).read_bytes(), file.name


def test_figures_of_an_earlier_comparison_go(report: tuple[Path, Summary], tmp_path: Path) -> None:
    out = tmp_path / "report"
    compare([report[0] / "runs"], out)
    assert (out / "concepts.png").is_file()
    compare([report[0] / "runs" / "demo" / "a2e-seed0"], out)
    assert not (out / "concepts.png").exists()


def test_twelve_systems_with_holes(tmp_path: Path) -> None:
    for position in range(12):
        grid = GRID[-2:-1] if position == 5 else GRID[-2:]
        write_run(tmp_path, f"system{position:02d}", clips=5, grid=grid, constant=position == 7)
    summary = compare([tmp_path], tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert len(summary.systems) == 12
    assert "<details>" in text
    assert "system05 was not attacked" in text


def test_the_terminal(
    report: tuple[Path, Summary], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, summary = report
    main([str(root / "runs"), "--out", str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"Report: {tmp_path / 'out' / 'index.html'}"
    assert max(len(line) for line in lines[:-1]) <= 100
    assert lines[0] == "Strongest attack: pgd at 0.1 z-units (spectrogram L∞)"
    row = next(line for line in lines if line.startswith("a2e "))
    metrics = summary.systems[0].attacked[summary.headline].metrics
    assert show(metrics["mae"]) in row.split()
    assert "110±10" in row
    assert "Tests over seeds of attacked MAE under pgd" in " ".join(lines)
    (test,) = (line for line in lines if line.startswith("a2e - a2mid2e") and "+" in line)
    assert "too few seeds" in test


def test_a_problem_ends_the_command_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"steadyear compare: .* run `steadyear test` first"):
        main([str(tmp_path), "--out", str(tmp_path / "out")])


def test_one_seed_has_no_spread() -> None:
    assert show(Spread({0: 1.0})) == "1.000"
    assert show(Spread({0: 1.0, 1: 2.0})) == "1.500±0.500"
    assert show(Spread({0: float("nan"), 1: 2.0})) == "—"
    assert show(None) == "—"


def test_a_wide_table_goes_on_below() -> None:
    header = ["key", *(f"column{k}" for k in range(6))]
    text = format_table(header, [["a", *"123456"]], width=22)
    assert max(map(len, text.splitlines())) <= 22
    assert [block.split()[0] for block in text.split("\n\n")] == ["key"] * 3
    assert all(name in text for name in header)
