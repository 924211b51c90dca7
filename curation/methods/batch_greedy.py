"""batch-greedy, the method of ACAV100M (arXiv 2101.10803): the best of each batch drawn from all that remain."""

from __future__ import annotations

from curation.kernels.batch_greedy import BatchGreedy
from curation.methods.base import Request
from curation.methods.stepwise import Engine, StepwiseMethod


class BatchGreedyMethod(StepwiseMethod):
    """Draw `batch_size` of the remaining clips, take the best `selection_size`, repeat."""

    name = "batch-greedy"
    title = "The most mutual information between sound and picture clusters, a batch at a time (ACAV100M)."
    has_batches = True

    def engine(self, request: Request) -> Engine:
        if request.device == "cuda":
            from curation.kernels.batch_greedy_torch import BatchGreedyTorch

            return BatchGreedyTorch(request.plan, "cuda")
        return BatchGreedy(request.plan)
