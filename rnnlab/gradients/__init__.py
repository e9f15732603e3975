"""Probes: measurements of how much gradient reaches each time step, and why.

Every probe takes any cell and runs under the highest matmul precision. Shapes: B batch (any leading
axes), T time, D input, H hidden, n all state features (H; 2H for an LSTM).
"""

# imported eagerly: with a lazy door, importing the module saturation would hide the function

from rnnlab.gradients.adjoint import (
    AdjointCurve,
    adjoint_norms,
    value_grad_and_norms,
    weight_contributions,
)
from rnnlab.gradients.criticality import Critical, critical_on
from rnnlab.gradients.flossing import Flossed, floss, flossing_loss
from rnnlab.gradients.jacobians import jacobian_spectrum, spectral_radius, step_jacobians
from rnnlab.gradients.lyapunov import lyapunov_exponents
from rnnlab.gradients.newton_forecast import newton_iterations
from rnnlab.gradients.saturation import saturation

__all__ = [
    "AdjointCurve",
    "Critical",
    "Flossed",
    "adjoint_norms",
    "critical_on",
    "floss",
    "flossing_loss",
    "jacobian_spectrum",
    "lyapunov_exponents",
    "newton_iterations",
    "saturation",
    "spectral_radius",
    "step_jacobians",
    "value_grad_and_norms",
    "weight_contributions",
]
