"""Schemes whose number is searched: what is written for it, and where it is refused."""

import jax
import pytest

from rnnlab import LSTM, RNN, InitScheme
from rnnlab.nn import initializers, models
from rnnlab.nn.initializers import SCHEMES
from rnnlab.nn.searched import with_number


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("orthogonal(gain='critical')", "orthogonal(gain=1.25)"),
        (
            "sparse(nonzeros=3, spectral_radius='critical')",
            "sparse(nonzeros=3, spectral_radius=1.25)",
        ),
        ("critical", "critical"),  # the scheme of that name
        ("critical(activation='tanh')", "critical(activation='tanh')"),
        ("1.5", "1.5"),
        (0.5, 0.5),
    ],
)
def test_the_number_takes_the_place_of_the_word(scheme, expected):
    assert with_number(scheme, 1.25, SCHEMES) == expected


def test_every_block_has_the_same_number():
    init = InitScheme(
        w_h="orthogonal(gain='critical')",
        gates={"c": {"w_h": "identity(gain='critical')"}, "f": {"b": "2.0"}},
    )
    assert init.is_searched
    assert not InitScheme(w_h="critical").is_searched
    assert init.with_number(0.5) == InitScheme(
        w_h="orthogonal(gain=0.5)",
        gates={"c": {"w_h": "identity(gain=0.5)"}, "f": {"b": "2.0"}},
    )
    assert InitScheme.from_config(InitScheme.config(w_h=init.w_h)).w_h == init.w_h


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"w_h": "orthogonal(gain='crit')"},
            r"init\.w_h: .*gain must be a finite",
        ),
        ({"w_h": "orthogonl(gain='critical')"}, r"did you mean 'orthogonal'"),
        ({"w_h": "critical(sigma_b='critical', input_variance='critical')"}, r"one number of a"),
        (
            {"w_h": "sparse(nonzeros='critical')"},
            r"nonzeros cannot be 'critical': its default, 15",
        ),
        (
            {"w_y": "normal(std='critical')"},
            r"init\.w_y: .* the read-out has no part in",
        ),
        ({"forget_bias": "chrono(t_max='critical')"}, r"t_max cannot be 'critical'"),
    ],
)
def test_what_cannot_be_searched_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        InitScheme(**fields)


def test_nothing_is_drawn_before_the_search():
    words = r"its gain is searched on sequences: give a number, or search it"
    with pytest.raises(ValueError, match=words):
        initializers.make("orthogonal(gain='critical')")
    init = InitScheme(w_h="orthogonal(gain='critical')")
    with pytest.raises(ValueError, match=words):
        LSTM(4, init=init).init_params(jax.random.key(0), 2)
    with pytest.raises(ValueError, match=r"w_e: .* its std is searched on sequences"):
        models.ManyToOne(RNN(4), 2, w_e="normal(std='critical')")
