"""greedy: always the one clip that raises the mutual information most, of all that remain."""

from __future__ import annotations

from curation.kernels.greedy import Greedy
from curation.methods.base import Request
from curation.methods.stepwise import Engine, StepwiseMethod


class GreedyMethod(StepwiseMethod):
    """Exact: the gains of all clips are up to date at every pick."""

    name = "greedy"
    title = "The one best of all remaining clips at a time: slower, more mutual information than batches."

    def engine(self, request: Request) -> Engine:
        return Greedy(request.plan)
