"""All methods by name."""

from __future__ import annotations

from curation.methods.ascent import AscentMethod
from curation.methods.base import Method
from curation.methods.batch_greedy import BatchGreedyMethod
from curation.methods.concord import ConcordMethod
from curation.methods.contrastive import ContrastiveMethod
from curation.methods.greedy import GreedyMethod
from curation.methods.instance_level import PCA_METHODS
from curation.methods.matched_random import MatchedRandomMethod
from curation.methods.mixture import MixtureMethod
from curation.methods.ratio import RatioMethod
from curation.methods.uniform import RandomMethod

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        ConcordMethod(),
        BatchGreedyMethod(),
        GreedyMethod(),
        RatioMethod(),
        AscentMethod(),
        MixtureMethod(),
        *PCA_METHODS,
        ContrastiveMethod(),
        RandomMethod(),
        MatchedRandomMethod(),
    )
}
