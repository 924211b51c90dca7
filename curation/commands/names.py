"""The commands `names` (names of clusters: given, proposed, accepted) and `find` (clips by words)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from curation.commands.base import Commands, job, printable
from curation.errors import InputError
from curation.proposals import PROPOSED, Proposal, accept, best_layer, propose, read
from curation.urls import local_path
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """names, find."""
    command = commands.add("names", "names of clusters: those given by people, and those proposed by a model", _names)
    command.add_argument(
        "--on", action="append", default=[], metavar="CLUSTERING", help="clustering; may be repeated; all by default"
    )
    command.add_argument("--propose", action="store_true", help="propose words by a model that reads text")
    command.add_argument(
        "--by", default="", metavar="LAYER", help="with --propose: layer whose model compares; the clustering's own"
    )
    command.add_argument(
        "--vocabulary", type=local_path, default=None, metavar="FILE",
        help="with --propose: text file of words, one name a line; a built-in list by default",
    )  # fmt: skip
    command.add_argument("--prompt", default="", help="with --propose: sentence around each word, {} for the word")
    command.add_argument("--words", type=int, default=PROPOSED, help=f"with --propose: words a cluster ({PROPOSED})")
    command.add_argument(
        "--accept", action="append", default=[], metavar="CLUSTER[=WORD]",
        help="make a proposed word (the best one) the cluster's name; may be repeated",
    )  # fmt: skip
    command.add_argument("--author", default="", help="with --accept: who accepts")
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)
    command = commands.add("find", "clips that fit words best, by a model that reads text", _find)
    command.add_argument("words", help="what to look for, such as 'a dog barking in the rain'")
    command.add_argument("--by", default="", metavar="LAYER", help="layer whose model compares; the first by default")
    command.add_argument("--count", type=int, default=20, help="clips (20)")


def _names(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    known = [key.partition("/")[2] for key in workspace.keys("clusterings")]
    if options.accept:
        for text in options.accept:
            cluster, _, word = text.partition("=")
            if len(options.on) != 1 or not cluster.isdecimal():
                raise InputError(f"--accept {text} cannot be used.", hint="Give --on CLUSTERING and --accept NUMBER.")
            kept = accept(workspace, options.on[0], int(cluster), word.strip(), options.author)
            print(printable(f"{kept.clustering} {kept.cluster}: {kept.name}"))
        return
    if options.propose:
        wanted = options.on or [name for name in known if best_layer(workspace, name) is not None]
        if not wanted:
            from curation.text_side import text_layer

            text_layer(workspace)  # says what is missing
            raise InputError(f"{workspace.name} has no clusters that words could name.", hint="Make clusters first.")
        with job(workspace, options, "names") as (progress, record):
            for name in wanted:
                layer = None if options.on else best_layer(workspace, name)
                propose(
                    workspace, name, by=options.by or (layer.name if layer else ""), vocabulary=options.vocabulary,
                    prompt=options.prompt, k=options.words, progress=progress,
                )  # fmt: skip
            record.result({"names": {"clusterings": len(wanted)}})
    for name in options.on or known:
        print("\n".join(printable(line) for line in names_lines(workspace, name)))


def names_lines(workspace: Workspace, clustering: str) -> list[str]:
    """Names of the clusters of one clustering as lines of text: given ones, then proposed ones, marked as such."""
    from curation import names

    said, found = names.names(workspace, clustering), read(workspace, clustering)
    lines = [clustering]
    lines += [f"  {c:>5} {one.name}{'?' if one.overlap is not None else ''}" for c, one in sorted(said.items())]
    if found is None:
        return lines
    if found.stale:
        return [*lines, "  proposed names are of other clusters or features: propose again"]
    lines.append(f"  proposed by {found.model} of {found.n_words} words ({found.vocabulary}), “{found.prompt}”:")
    for cluster, words in sorted(found.clusters.items()):
        if cluster not in said or not said[cluster].name:
            lines.append(f"  {cluster:>5} proposed: {_said(words)}")
    return lines


def _said(words: Sequence[Proposal]) -> str:
    return ", ".join(f"{one.word} ({one.score:.3f}, {one.lead:+.3f})" for one in words)


def _find(options: argparse.Namespace) -> None:
    from curation.text_side import nearest, text_layer, vector_of

    if not 1 <= options.count <= 100_000:
        raise InputError(f"--count {options.count} cannot be used.", hint="Allowed: 1 to 100,000.")
    workspace = Workspace.open(options.workspace)
    layer = text_layer(workspace, options.by)
    rows, cosines = nearest(workspace, layer, vector_of(workspace, layer, options.words), options.count)
    query = 'SELECT "row", clip_id, path, start_s FROM clips WHERE "row" IN (SELECT unnest(?::BIGINT[]))'
    clips = {clip["row"]: clip for clip in workspace.query(query, [rows.tolist()]).to_pylist()}
    for row, cosine in zip(rows.tolist(), cosines, strict=True):
        clip = clips[row]
        print(printable(f"{cosine:+.3f}  {clip['clip_id']}  {clip['start_s']:g} s  {clip['path']}"))
