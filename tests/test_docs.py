"""Documents lead where they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.attacks.listing import PAGE, with_listing

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """Anchors of a page as they are made of its headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} leads to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in headings(target), f"{page.name} leads to {link}"


def test_the_list_of_attacks_is_that_of_the_code() -> None:
    page = PAGE.read_text()
    assert page == with_listing(page), "run python -m tests.attacks.listing"


def test_links_to_code_are_called_like_their_file() -> None:
    for label, link in re.findall(r"\[([\w.]+)\]\(\.\./([^)]+)\)", PAGE.read_text()):
        if label != "test" and "." in label:
            assert label == Path(link).name


def test_there_are_pages() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "CHANGELOG.md", "attacks.md"}
