"""Products of many matrices, and their singular values, over any number of decades.

A product of 200 Jacobians can span 1e-300 to 1e+30. It is kept as U·D·T: U with orthonormal
columns, D diagonal and held as logarithms, T with rows of order 1 (the stratified products of
quantum Monte Carlo: Loh et al. 1992; Bai, Lee, Li & Xu 2011). Only ratios of entries of D that
multiply something are ever formed, the larger in the denominator, so that nothing overflows and
what underflows is below rounding error.
"""

import numpy as np

_LN10 = np.log(10.0)
_SWEEPS = 100
_JACOBI_RANGE = 140  # decades; LAPACK's Jacobi method holds squares of what it works on


def _graded_qr(A: np.ndarray, log_d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factor A·diag(d) = Q·diag(e)·S: return (Q, log e, S) with the rows of S of order 1.

    Columns are sorted by size first, largest first. A column scale does not change Q, so A alone is
    factored and d enters afterwards as ratios.
    """
    with np.errstate(divide="ignore"):  # log 0 = −inf is intended
        largest = np.abs(A).max(axis=0, initial=0)  # its square may leave the floats
        scaled = A / np.where(largest > 0, largest, 1)
        size = np.log(np.linalg.norm(scaled, axis=0)) + np.log(largest) + log_d
        order = np.argsort(-size, kind="stable")
        Q, R = np.linalg.qr(A[:, order])
        graded = np.log(np.abs(R)) + log_d[order]
    log_e = graded.max(axis=1)
    S = np.zeros_like(R)
    rows = np.isfinite(log_e)
    S[rows] = np.sign(R[rows]) * np.exp(graded[rows] - log_e[rows, None])
    unsorted = np.empty_like(S)
    unsorted[:, order] = S
    return Q, log_e, unsorted


class LogProduct:
    """The product A_k ⋯ A_2·A_1, built up from the right.

    >>> product = LogProduct(np.eye(2))
    >>> for _ in range(1000):
    ...     product = product.then(np.diag([1e-3, 10.0]))
    >>> product.log10_singular_values().round(6).tolist()
    [1000.0, -3000.0]
    """

    def __init__(self, A: np.ndarray) -> None:
        A = np.asarray(A, np.float64)
        self.U, self.log_d, self.T = _graded_qr(A, np.zeros(A.shape[1]))

    def then(self, A: np.ndarray) -> "LogProduct":
        """Return the product A·(this)."""
        new = object.__new__(LogProduct)
        new.U, new.log_d, S = _graded_qr(A @ self.U, self.log_d)
        new.T = S @ self.T
        return new

    def log10_singular_values(self) -> np.ndarray:
        """Return log10 of the singular values, largest first; −inf: exactly zero.

        Of (D·T)' = T'·D, well-conditioned columns times scales, one-sided Jacobi rotations give
        every singular value to full relative accuracy, however far apart they lie (Drmač & Veselić
        2008; LAPACK's dgejsv). Where floats do not reach, see :func:`_by_sweeps`.
        """
        from scipy.linalg import get_lapack_funcs  # slow to import, and few probes need it

        some = np.isfinite(self.log_d)
        log_d, T = self.log_d[some], self.T[some]
        zeros = np.full(len(self.log_d) - len(log_d), -np.inf)
        if not len(log_d):
            return zeros
        top = log_d.max()
        if top - log_d.min() < _JACOBI_RANGE * _LN10:
            scaled = T.T * np.exp(log_d - top)
            (jacobi,) = get_lapack_funcs(("gejsv",), (scaled,))
            values, _, _, scale, _, failed = jacobi(scaled, joba=0, jobu=3, jobv=3, jobr=0)
            if not failed and (values > 0).all():
                logs = np.log(values * (scale[0] / scale[1])) + top
                return np.concatenate([np.sort(logs)[::-1] / _LN10, zeros])
        return np.concatenate([_by_sweeps(log_d, T) / _LN10, zeros])


def _by_sweeps(log_d: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return the logs of the singular values of D·T, largest first, over any number of decades.

    D·T is swept to diagonal form by QR steps on it and its transpose in turn (the unshifted
    QR iteration), in graded arithmetic. A pair still mixed after the sweeps has nearly equal
    values: accurate to 0.001 decades.
    """
    for _ in range(_SWEEPS):
        # (D·T)' = T'·D = Q·E·S, and D·T has the singular values of (E·S)' = S'·E
        _, new, T = _graded_qr(T.T, log_d)
        done = np.allclose(new, log_d, rtol=0, atol=1e-9, equal_nan=True)
        log_d = new
        if done:
            break
    return np.sort(log_d)[::-1]
