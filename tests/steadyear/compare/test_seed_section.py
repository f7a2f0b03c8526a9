from steadyear.compare import report  # noqa: F401
from steadyear.compare.render.section import SECTIONS


def test_it_is_there():
    assert "seeds" in {section.key for section in SECTIONS}
