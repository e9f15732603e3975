"""A table as a figure: every text in its place."""

from matplotlib import pyplot
from matplotlib.table import Table

from rnnlab.plotting import tables


def test_every_text_is_in_its_cell():
    figure = tables.draw(["a", "two\nlines"], {"first": ["1", "2"], "second": ["3", "4"]})
    (drawn,) = (c for c in figure.axes[0].get_children() if isinstance(c, Table))
    texts = {place: cell.get_text().get_text() for place, cell in drawn.get_celld().items()}
    assert texts == {
        (0, 0): "a",
        (0, 1): "two\nlines",
        (1, -1): "first",
        (1, 0): "1",
        (1, 1): "2",
        (2, -1): "second",
        (2, 0): "3",
        (2, 1): "4",
    }
    pyplot.close(figure)
