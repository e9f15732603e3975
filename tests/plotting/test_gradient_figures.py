"""Figures of gradient experiments: theory where it applies, shared axes, nothing cut off."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from rnnlab.plotting import gradient_figures, keys, plots
from rnnlab.results.table import Member, Table

RNG = np.random.default_rng(4)
T = 12


def members(count=3, cell="lstm", w_h="orthogonal", **result):
    """Members of one line; arrays among the results vary between them."""
    made = []
    for seed in range(count):
        config = {"cell": {"name": cell}, "init": {"w_h": w_h}, "seed": seed}
        drawn = {
            name: (np.asarray(value) + 0.01 * seed).tolist() if np.ndim(value) else value
            for name, value in result.items()
        }
        made.append(Member(seed, {}, config, 0.0, drawn))
    return made


def curve(slope, **more):
    lags = np.arange(T)
    return {"h": slope * lags, "h_zero": np.zeros(T)} | {"theory": 0.5 * slope * lags} | more


@pytest.mark.parametrize(
    ("result", "condition", "style"),
    [
        ({"log10_retention": np.zeros(T)}, "gates alone, one part of the gradient", "gates"),
        ({"sigma_w": 1.0}, r"theory: mean field, $H \to \infty$", ":"),
        ({"theory_error": 0.0}, "theory: $W^k$ in float64", ":"),
    ],
)
def test_the_key_names_the_condition_of_theory(result, condition, style):
    figure, axes = plots.new_figure(size=(4, 3))
    table = Table(members(**curve(-1.0, **result)))
    gradient_figures.curves(axes[0, 0], "h", table, "x", 1)
    (line,) = keys.marks(figure)[condition]
    np.testing.assert_allclose(line.get_ydata(), np.median(table.stack("theory"), axis=0))
    assert (line.get_linestyle() == ":") == (style == ":")  # a line of its own for the gates


def test_a_line_that_leaves_the_panel_says_where_it_ends():
    figure, axes = plots.new_figure(size=(4, 3))
    end = gradient_figures.curves(axes[0, 0], "h", Table(members(**curve(-10.0))), "x", 0)
    assert end is not None
    assert end.text == "x: 10⁻¹¹⁰"
    (corner,) = keys.marks(figure)["leaves the panel, to the power at its name"]
    assert (corner.get_xdata()[0], corner.get_ydata()[0]) == (4, gradient_figures.FLOOR)


def test_singular_values_have_one_axis_and_what_lies_beyond_is_counted():
    small = np.array([-1.0, -2.0, -40.0, -np.inf, np.nan])
    made = [
        *members(1, "gru", "orthogonal", spectrum_1=[-0.5, 0.25], spectrum_9=[-3.0, -4.0]),
        *members(1, "gru", "he_normal", spectrum_1=small, spectrum_9=[-50.0, -60.0]),
    ]
    figure = gradient_figures.singular_values(Table(made), {"gru": "GRU"})
    assert [ax.get_title("left") for ax in figure.axes] == ["GRU, lag $k = 1$", "GRU, lag $k = 9$"]
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}
    assert len(limits) == 1
    assert next(iter(limits))[0] == (-32, 1.25)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert [line.get_xdata().tolist() for line in dots] == [[-0.5, 0.25], [-1, -2]]
    said = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert said == [
        "◂ 1 below, to 10⁻⁴⁰, 1 exactly 0, 1 overflowed (of 5)",
        "◂ 2 below, to 10⁻⁶⁰ (of 2)",
    ]


def test_saturation_fills_its_axes():
    values = 0.48 + 0.02 * RNG.uniform(size=T)
    figure = gradient_figures.saturation(Table(members(saturation_f=values)), ["orthogonal"])
    low, high = figure.axes[0].get_ylim()
    drawn = figure.axes[0].lines[0].get_ydata()
    assert np.ptp(drawn) > 0.4 * (high - low)


def test_colors_of_the_critical_line_reach_every_value():
    groups = {}
    for sigma, slope in ((0.5, -9.0), (1.0, 0.0), (2.5, 4.0)):
        table = members(**curve(slope, input_variance=0.1), cell="rnn-tanh")
        groups[sigma] = Table(table)
    figure = gradient_figures.critical_line(groups)
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    values = np.asarray(mesh.get_array()).ravel()
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((-98.99, 98.99))
    assert values.max() == pytest.approx(44.01)  # where it explodes
    colors = mesh.norm(values)
    assert np.unique(np.round(colors, 9)).size == np.unique(np.round(values, 9)).size
    assert figure.axes[1].get_ylim() == pytest.approx((-98.99, 98.99))


def test_cells_without_a_finite_value_are_in_the_key():
    z = np.array([[0.0, np.nan], [1.0, -np.inf]])
    figure, axes = plots.new_figure(size=(4, 3))
    plots.heat_map(axes[0, 0], np.arange(2), np.arange(2), z, label="decades", limit=5)
    assert list(keys.marks(figure)) == ["no finite value"]


def test_eigenvalues_of_six_schemes_stand_in_two_rows():
    table = Table(members(6, eigenvalues_re=[0.5, -0.5], eigenvalues_im=[0.1, 0.2]))
    figure = gradient_figures.eigenvalues(table)
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)
