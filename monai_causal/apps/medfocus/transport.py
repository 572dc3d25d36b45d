# SPDX-License-Identifier: Apache-2.0
"""Carry named masks from one image to another by unbalanced optimal transport (section 4.1 of the MedFocus paper).

The published method pushes the mass of a mask through the plan and keeps the densest cells. That mass is blurred by the
entropy twice over, so even an image transported onto itself loses its boxes. The default here reads the plan as a warp:
each target cell asks where its mass comes from on average (the barycentric projection), the same question put to the
transport of the target onto itself gives the bias that entropy causes, and the difference is a displacement by which
masks are pulled back at full resolution. An image transported onto itself then comes back exactly, whatever epsilon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_causal.apps.medfocus import sinkhorn_pot, sinkhorn_separable
from monai_causal.apps.medfocus.sinkhorn_separable import Problem, Scalings
from monai_causal.apps.medfocus.transport_fitted import FittedTransport
from monai_causal.apps.medfocus.transport_grid import Frame, as_grey, cost_quantile, in_frame, min_max, to_grid
from monai_causal.apps.medfocus.transport_mass import MASSES

__all__ = ["UnbalancedTransport"]

SOLVERS = ("separable", "pot")
OBJECTIVES = ("product", "counting")
READOUTS = ("warp", "mass")
SCALES = ("side", "quantile")


class UnbalancedTransport:
    """Entropic unbalanced optimal transport between two grey images.

    Args:
        solver: ``"separable"``, or ``"pot"`` for the POT library's dense Sinkhorn, on the CPU.
        objective: ``"product"``: entropy against the product of the masses, so that the transported mass does not
            depend on the grid. ``"counting"``: against the counting measure, as published.
        epsilon: strength of the entropy, in units of the cost.
        rho: what it costs to make or lose mass, in units of the cost (the paper's lambda): mass does not travel
            farther than about ``sqrt(2 rho)`` sides of the square, it is made and lost instead.
        grid: cells along the longer side.
        mass: what is transported: ``"contrast"``, ``"intensity"`` as published, or a function, see
            :mod:`monai_causal.apps.medfocus.transport_mass`.
        readout: ``"warp"``: pull masks back by the debiased displacement. ``"mass"``: the densest cells that hold
            ``core`` of the transported mass, as published.
        core: see ``readout``.
        scale: what squared distances are divided by: the square of the grid's ``"side"``, or the 90 % ``"quantile"``
            of those between the two supports.
        sampling: how an image comes onto the grid: ``"area"`` or, as published, ``"linear"``.
        support: cells whose mass is at most this, before masses are divided by their sum, carry nothing.
        iterations: at most so many at this epsilon.
        tolerance: of the solver.
        stop: the separable solver's stopping rule, see
            :func:`~monai_causal.apps.medfocus.sinkhorn_separable.solve`; ``"change"`` as published.
        device: where the separable solver works.

    Example:
        >>> import numpy as np
        >>> rows, columns = np.mgrid[:64, :64]
        >>> def disc(x):
        ...     return (np.hypot(rows - 32, columns - x) < 12).astype(float)
        >>> fitted = UnbalancedTransport(grid=32).fit(disc(28), disc(34))
        >>> moved = fitted.transport(disc(28)).mask[0].numpy()
        >>> fitted.converged, float((moved & (disc(34) > 0)).sum() / (moved | (disc(34) > 0)).sum()) > 0.9
        (True, True)
    """

    def __init__(
        self,
        solver: str = "separable",
        objective: str = "product",
        epsilon: float = 0.003,
        rho: float = 0.01,
        grid: int = 56,
        *,
        mass: str | Callable[..., Any] = "contrast",
        readout: str = "warp",
        core: float = 0.75,
        scale: str = "side",
        sampling: str = "area",
        support: float = 0.0,
        iterations: int = 1000,
        tolerance: float = 1e-5,
        stop: str = "residual",
        device: str | torch.device | None = None,
    ) -> None:
        for name, value, allowed in (
            ("solver", solver, SOLVERS),
            ("objective", objective, OBJECTIVES),
            ("readout", readout, READOUTS),
            ("scale", scale, SCALES),
            ("sampling", sampling, ("area", "linear")),
            ("stop", stop, ("residual", "change")),
        ):
            if value not in allowed:
                raise ValueError(f"{name}={value!r}: it is one of {', '.join(allowed)}.")
        for name, number in (("epsilon", epsilon), ("rho", rho), ("tolerance", tolerance)):
            if not (np.isfinite(number) and number > 0):
                raise ValueError(f"{name}={number!r}: a positive, finite number is needed.")
        for name, number in (("grid", grid), ("iterations", iterations)):
            if int(number) != number or number < 1:
                raise ValueError(f"{name}={number!r}: a positive whole number is needed.")
        if not 0 < core <= 1:
            raise ValueError(f"core={core!r}: it is a fraction of the mass, above 0 and up to 1.")
        if isinstance(mass, str) and mass not in MASSES:
            raise ValueError(f"mass={mass!r}: it is a function or one of {', '.join(MASSES)}.")
        if solver == "pot" and torch.device(device or "cpu").type != "cpu":
            raise ValueError(f"device={str(device)!r}: the solver 'pot' works on the CPU; leave it out.")
        self.solver, self.objective, self.epsilon, self.rho, self.grid = solver, objective, epsilon, rho, int(grid)
        self.mass, self.readout, self.core, self.scale, self.sampling = mass, readout, core, scale, sampling
        self.support, self.iterations, self.tolerance, self.stop = support, int(iterations), tolerance, stop
        self.device = torch.device(device or "cpu")

    @classmethod
    def released(cls, **changes: Any) -> UnbalancedTransport:
        """The published implementation's settings: its plan, heat and core cells, without its matrix."""
        settings: dict[str, Any] = {
            "objective": "counting",
            "mass": "intensity",
            "epsilon": 0.05,
            "rho": 0.1,
            "readout": "mass",
            "scale": "quantile",
            "sampling": "linear",
            "support": 0.02,
            "iterations": 500,
            "tolerance": 1e-6,
            "stop": "change",
        }
        return cls(**(settings | changes))

    def masses(self, image: Any, what: str = "the image") -> tuple[NDArray[np.float64], Frame]:
        """What this image weighs per cell, (channels, grid, grid), and how the grid's square lies around it."""
        grey = as_grey(image, what, self.grid)
        frame = Frame.around(*grey.shape)
        square = in_frame(min_max(grey), frame)
        function = MASSES[self.mass] if isinstance(self.mass, str) else self.mass
        maps = np.asarray(function(square, in_frame(np.ones_like(grey, dtype=bool), frame)), dtype=np.float64)
        maps = maps[None] if maps.ndim == 2 else maps
        return np.stack([to_grid(one, self.grid, self.sampling) for one in maps]), frame

    def fit(self, reference: Any, target: Any) -> FittedTransport:
        """Transport a reference, or each of several, onto a target.

        Args:
            reference: grey image (rows, columns) or (1, rows, columns), or a list or a batch (B, 1, rows, columns) of
                them; those of a list may differ in size.
            target: grey image, of any size and shape.
        """
        several = isinstance(reference, (list, tuple)) or np.ndim(reference) == 4
        references = list(reference) if several else [reference]
        if not references:
            raise ValueError("reference: the list is empty; give at least one image.")
        names = [f"reference {i}" for i in range(len(references))] if several else ["the reference"]
        sources = [self.masses(image, name) for image, name in zip(references, names, strict=True)]
        arriving, frame = self.masses(target, "the target")
        leaving = np.stack([masses for masses, _ in sources])
        return self.fit_masses(leaving, arriving, [lies for _, lies in sources], frame, single=not several)

    def fit_masses(
        self,
        references: NDArray[np.float64],
        target: NDArray[np.float64],
        sources: Sequence[Frame],
        frame: Frame,
        *,
        single: bool = False,
    ) -> FittedTransport:
        """As :meth:`fit`, for masses that are on the grid already.

        Args:
            references: (B, channels, grid, grid), as :meth:`masses` gives them.
            target: (channels, grid, grid).
            sources: how the square lies around each reference.
            frame: how it lies around the target.
            single: there is one reference, and results are to have no leading axis.
        """
        given = zip((references, target[None]), ("a reference", "the target"), strict=True)
        a, b = (torch.from_numpy(self._weighed(maps, what)).to(self.device) for maps, what in given)
        b = b.expand_as(a)
        scale = a.new_full(a.shape[:2], float(self.grid**2))
        if self.scale == "quantile":
            for place in np.ndindex(*scale.shape):
                scale[place] = cost_quantile((a[place] > 0).cpu().numpy(), (b[place] > 0).cpu().numpy()) or 1.0
        problem = Problem(a.flatten(0, 1), b.flatten(0, 1), scale.flatten(), self.epsilon, self.rho, self.objective)
        return FittedTransport(
            problem,
            self.solve(problem),
            sources=sources,
            target=frame,
            solve=self.solve,
            readout=self.readout,
            core=self.core,
            sampling="area" if self.sampling == "area" else "nearest",
            single=single,
        )

    def _weighed(self, maps: NDArray[np.float64], what: str) -> NDArray[np.float64]:
        """Each map with its sum 1, without what is no support."""
        cells = np.where(maps > self.support, maps, 0.0)
        total = cells.sum((-2, -1), keepdims=True)
        if not np.isfinite(cells).all() or (total <= 0).any():
            raise ValueError(f"{what}: no cell of the grid has a mass above {self.support:g}; is the image blank?")
        return cells / total

    def solve(self, problem: Problem) -> Scalings:
        """The scalings of a batch of problems, by this solver and its rules."""
        if self.solver == "pot":
            return sinkhorn_pot.solve(problem, iterations=self.iterations, tolerance=self.tolerance)
        return sinkhorn_separable.solve(
            problem,
            iterations=self.iterations,
            tolerance=self.tolerance,
            stop=self.stop,
            translate=self.stop == "residual",
        )
