"""The figure of advice: one look per scheme and forget bias, the recommended candidate's star."""

import jax

import rnnlab
from rnnlab.plotting import advice_figure

FOUND = rnnlab.advise(
    rnnlab.GRU(4),
    jax.random.normal(jax.random.key(0), (2, 12, 1)),
    schemes=("orthogonal(gain=1.0)", "mean_field(sigma_w=1.0)", "xavier_uniform"),
    gains=(),
    biases=(0.0, 1.0, 3.0),
    seeds=(0,),
)


def test_no_two_candidates_look_the_same():
    left, right = advice_figure.draw(FOUND).axes
    lines = [line for line in left.lines if line.get_label()[0] != "_"]
    assert len(lines) == 9
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9
    shown = [text.get_text() for text in right.get_legend().get_texts()]
    assert shown == ["orthogonal", "mean_field", "b = 0", "b = 1", "b = 3"]


def test_the_star_stands_at_the_recommended_candidate():
    (star,) = [line for line in advice_figure.draw(FOUND).axes[1].lines if line.get_marker() == "*"]
    assert FOUND.best is not None
    assert star.get_ydata()[0] == FOUND.best.curve[FOUND.span]
