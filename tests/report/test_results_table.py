"""The table of results on the page."""

import re

from rnnlab.report.page import write_report
from tests.report.test_page import make_run


def test_the_table_of_results_has_medians_ranges_units_and_the_best(tmp_path):
    metrics = [{"name": "norm", "unit": "decades", "better": "higher", "infinite": "inf"}]
    run = make_run(tmp_path / "run", metrics=metrics)
    page = write_report(run).read_text()
    start = page.index('<h2 id="results">')
    table = page[start : page.index('<h2 id="claims">')]
    text = " ".join(re.sub(r"<[^>]*>", " ", table).split())
    # rnn: −3.5, −inf, nan; lstm: −20.25, 1e-9, 7.0
    assert "cell.name norm (decades) overflowed" in text
    assert "rnn -inf [nan, -3.5] 2 False, 1 True" in text
    assert "lstm 1e-09 [-20.25, 7] * best False" in text
    assert "Median [lowest, highest] over 3 seeds; * best. The same numbers" in text
    assert "The same in every row: seconds 20.5 s." in text
