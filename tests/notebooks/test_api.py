"""The page of the public interface is what its generator makes of the sources."""

import minitvlt as mt
from notebooks.helpers.api import PAGE, make_page


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == make_page(), "run: python -m notebooks.helpers.api"


def test_every_public_name_has_a_sentence():
    sections = make_page().split("### `mt.")[1:]
    assert {section.split("`")[0] for section in sections} == set(mt.__all__)
    for section in sections:
        sentence = section.split("```")[2].split("\n## ")[0].strip()
        assert len(sentence) > 15, section
