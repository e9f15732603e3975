"""Renderings of several figures: the same from two processes as from one, whatever happens."""

import contextlib
import pickle
import signal
import subprocess
import sys
from threading import Thread

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager

from rnnlab.core import host, signals
from rnnlab.plotting import arrange, keys, panels, plots, rendered, rendering, tables, worker

X = np.arange(5)
BROKEN = """
import sys
from rnnlab.plotting import worker
source, sink = sys.stdin.buffer, sys.stdout.buffer
worker.read(source)
worker.write(sink, worker.READY)
worker.read(source)
worker.write(sink, b"no pickle")
"""
OWN_FONT = "a font of the experiment's own"


def curves(width=8.0, title="a panel"):
    """A figure with bands, labels at its lines' ends, maths and a key."""
    figure, axes = plots.new_figure(1, 2, size=(width, 2.5), share_x=True, share_y=True)
    for ax in axes.flat:
        values = np.random.default_rng(2).normal(size=(4, 5))
        ends = [plots.band(ax, X, values + i, f"scheme {i}", i) for i in range(3)]
        plots.theory_line(ax, X, values[0], meaning=r"mean field, $\lambda_1 < \frac{1}{2}$")
        (dots,) = ax.plot(X, values[1], "x", color=plots.COLORS[3])
        keys.mark(dots, "a cross")
        plots.title(ax, title)
        plots.direct_labels(ax, ends)
        ax.set_xlabel("lag $k$")
    axes[0, 0].text(1, 0, "W_hh", color="#E69F00")
    return figure


def maths():
    figure, axes = plots.new_figure(size=(4, 2.5))
    axes[0, 0].set_title(r"$\sqrt{\frac{1}{n} \sum_i \Vert W_{hh}^i \Vert_F^2}$")
    return figure


def heat_map():
    figure, axes = plots.new_figure(size=(4, 3))
    x, y = np.array([0.0, 1.0, 4.0]), np.array([-1.0, 0.0, 5.0])
    z = np.array([[-20.0, -0.5, 0.0], [1.0, 2.0, np.inf], [3.0, 4.0, 50.0]])
    plots.heat_map(axes[0, 0], x, y, z, label=plots.LEFT, limit=10, linear_within=1, levels=[-1, 2])
    return figure


def table_of_panels():
    figure = curves()
    arrange.keep_width(figure)
    return figure


def table():
    return tables.draw(["mean\nloss", "W_hh"], {"gru": ["0.1", "−2"], "lstm": ["0.2", "3"]})


def stacked():
    return panels.stacked({f"rate={rate}": curves(4.0) for rate in (0.1, 0.2)})


def own_font():
    figure, axes = plots.new_figure(size=(4, 2.5))
    axes[0, 0].set_title("words", family=OWN_FONT)
    return figure


def without_csv():
    figure, axes = plots.new_figure(size=(4, 2.5))
    axes[0, 0].pcolormesh(np.eye(3), shading="gouraud")
    return figure


def with_lambda():
    figure, axes = plots.new_figure(size=(4, 2.5))
    axes[0, 0].plot(X)
    axes[0, 0].xaxis.set_major_formatter(lambda value, _: f"{value} s")
    return figure


def broken():
    figure, axes = plots.new_figure(size=(4, 2.5))
    axes[0, 0].set_title(r"$\frac{$")
    return figure


MAKERS = (curves, maths, heat_map, table_of_panels, table, stacked, own_font, without_csv)


class WorkerFirst(Thread):
    """A thread that ends before this process goes on: the worker renders all that it can."""

    def start(self):
        super().start()
        self.join()


@pytest.fixture(scope="module")
def command():
    """Let the tests be a command on two cores; return the processes that it starts."""
    started = []
    with pytest.MonkeyPatch.context() as patch:
        start = rendered._start
        patch.setattr(signals, "in_command", lambda: True)
        patch.setattr(host, "cores", lambda: 2)
        patch.setattr(rendered, "_start", lambda: started.append(start()) or started[-1])
        yield started


def recorded(patch):
    """Return the figures that this process renders from now on, in order."""
    found, render = [], rendering.render

    def record(figure):
        found.append(figure)
        return render(figure)

    patch.setattr(rendering, "render", record)
    return found


@pytest.fixture
def here(monkeypatch):
    return recorded(monkeypatch)


def render_all(figures):
    with rendered.beside() as process, rendered.in_order(figures, process) as renderings:
        return list(renderings)


@pytest.fixture(scope="module")
def both(command):
    """Return the renderings of this process and of the worker, by maker."""
    mono = font_manager.findfont("DejaVu Sans Mono")
    mine = font_manager.FontEntry(fname=str(mono), name=OWN_FONT, size="scalable")
    fonts = [*font_manager.fontManager.ttflist, mine]
    with pytest.MonkeyPatch.context() as patch, mpl.rc_context({"mathtext.fontset": "stix"}):
        patch.setattr(font_manager.fontManager, "ttflist", fonts)
        patch.setattr(rendered, "Thread", WorkerFirst)
        alone = [rendering.render(make()) for make in MAKERS]
        taken = recorded(patch)
        figures = [curves(), *(make() for make in MAKERS)]
        together = render_all(figures)[1:]
    assert taken == figures[:1]
    return dict(zip(MAKERS, zip(alone, together, strict=True), strict=True))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("part", ["png", "svg", "phone", "csv"])
def test_both_processes_render_the_same_bytes(both, make, part):
    one, other = both[make]
    assert getattr(one, part) == getattr(other, part)


def test_the_figures_of_the_test_have_what_can_be_lost(both):
    assert b"a cross" in both[curves][1].svg
    assert b"scheme 2,0," in both[curves][1].csv
    assert both[curves][1].phone
    assert not both[table_of_panels][1].phone
    assert both[stacked][1].phone.startswith(b"\x89PNG")
    assert b"rate=0.1: a panel" in both[stacked][1].csv
    assert b"no finite value" in both[heat_map][1].svg
    assert both[own_font][1].png != both[maths][1].png


def test_renderings_come_in_order_and_figures_may_be_cleared(command):
    figures, found = [curves(3.0, f"figure {i}") for i in range(6)], []
    with rendered.beside() as process, rendered.in_order(figures, process) as renderings:
        for figure, drawn in zip(figures, renderings, strict=True):
            found.append(drawn.csv.decode().splitlines()[1].partition(",")[0])
            figure.clear()
    assert found == [f"figure {i}" for i in range(6)]


def test_a_figure_that_cannot_be_pickled_is_rendered_here(command, here, monkeypatch):
    monkeypatch.setattr(rendered, "Thread", WorkerFirst)
    figures = [maths(), maths(), with_lambda(), maths()]
    assert b"0.0 s" in render_all(figures)[2].svg
    assert here == [figures[0], figures[2]]


@pytest.mark.parametrize(
    "command_line",
    [
        ["-c", "raise SystemExit(1)"],
        ["-c", "print('no message at all')"],
        ["-c", BROKEN],
        ["/nowhere/file.py"],
    ],
)
def test_a_worker_that_dies_or_cannot_start_changes_nothing(
    command, here, monkeypatch, command_line
):
    expected = [rendering.render(make()) for make in (maths, table, curves)]
    monkeypatch.setattr(rendered, "_arguments", lambda: command_line)
    here.clear()
    figures = [make() for make in (maths, table, curves)]
    assert render_all(figures) == expected
    assert here == figures


def test_nothing_waits_for_a_worker_that_is_not_ready(command, here, monkeypatch):
    waits = "import sys; sys.stdin.buffer.read()"
    monkeypatch.setattr(rendered, "_arguments", lambda: ["-c", waits])
    figures = [maths() for _ in range(3)]
    render_all(figures)
    assert here == figures


def test_what_a_figure_raises_is_raised_here(command, monkeypatch):
    monkeypatch.setattr(rendered, "Thread", WorkerFirst)
    figures, found = [maths(), broken(), maths()], []
    with (
        pytest.raises(ValueError, match="frac"),
        rendered.beside() as process,
        rendered.in_order(figures, process) as renderings,
    ):
        found.extend(renderings)
    assert command[-1].returncode is not None


def test_the_worker_ends_with_the_block_whatever_ends_that(command):
    with (
        contextlib.suppress(OSError),
        rendered.beside() as process,
        rendered.in_order([maths()] * 3, process) as renderings,
    ):
        next(renderings)
        raise OSError("the disk is full")
    assert command[-1].returncode == -signal.SIGKILL
    assert command[-1].stdin.closed


def test_notices_of_the_worker_are_said(command, monkeypatch, capsys):
    monkeypatch.setattr(rendered, "Thread", WorkerFirst)
    rendering.render(without_csv())
    expected = capsys.readouterr().err
    assert "a figure has no CSV" in expected
    render_all([maths(), without_csv(), maths()])
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(("n", "cores", "is_command"), [(3, 1, True), (3, 2, False)])
def test_one_process_is_enough_elsewhere(command, monkeypatch, n, cores, is_command):
    before = len(command)
    monkeypatch.setattr(host, "cores", lambda: cores)
    monkeypatch.setattr(signals, "in_command", lambda: is_command)
    assert len(render_all([maths() for _ in range(n)])) == n
    assert len(command) == before


def test_the_worker_ignores_ctrl_c_and_ends_with_its_input():
    process = rendered._start()
    worker.write(process.stdin, pickle.dumps(rendered._settings()))
    assert worker.read(process.stdout) == worker.READY
    for _ in range(2):
        worker.write(process.stdin, pickle.dumps(maths()))
        drawn, said = pickle.loads(worker.read(process.stdout))
        assert (drawn, said) == (rendering.render(maths()), "")
        process.send_signal(signal.SIGINT)
    process.stdin.close()
    assert process.wait() == 0
    process.stdout.close()


def test_the_worker_starts_without_jax():
    code = "import sys, rnnlab.plotting.rendering; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"jax", "scipy", "pandas", "matplotlib.pyplot", "ml_collections"}
    assert not slow & set(done.stdout.split())
