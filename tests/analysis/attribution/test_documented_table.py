"""docs/attribution.md says of each method what it does here, and what the tests have just seen."""

from __future__ import annotations

import attribution_table

from neurowidget.analysis.attribution import METHODS


def test_the_table_of_the_page_is_what_comes_out():
    assert attribution_table.written() == attribution_table.table()


def test_the_page_names_every_method():
    page = attribution_table.PAGE.read_text(encoding="utf-8")
    assert [method for method in METHODS if f"`{method}`" not in page] == []
