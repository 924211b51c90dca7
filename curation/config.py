"""Every setting of every stage: its default, what it means, what is allowed. The only place where defaults live."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from curation.errors import SettingError
from curation.setting import converted, setting


@dataclass(frozen=True)
class ScanConfig:
    """Find and probe media files."""

    sample: int = setting(0, "Probe only this many files, drawn at random (seeded); 0 = all.", low=0)
    seed: int = setting(0, "Seed of that draw.", low=0, high=2**63 - 1)
    full_hash: bool = setting(False, "Identify a file by all of its bytes, not by its first, middle and last MiB.")
    time_limit_s: float = setting(
        30.0, "A file that takes longer to probe fails with code `timeout`.", low=1, high=3600
    )
    memory_limit_mb: int = setting(2048, "A file that needs more memory fails with `out_of_memory`.", low=256)


def _words(kind: str, default: str) -> Any:
    """A setting that lists words which drop a video with metadata."""
    code = f"keyword_{kind.partition(' ')[0]}"
    return setting(default, f"Videos with metadata that have one of these words are dropped (`{code}`); empty = none.")


@dataclass(frozen=True)
class FilterConfig:
    """Which videos go on."""

    min_duration_s: float = setting(0.5, "Shorter videos are dropped (`too_short`).", low=0)
    max_duration_s: float = setting(0.0, "Longer videos are dropped (`too_long`); 0 = no limit.", low=0)
    min_size_bytes: int = setting(0, "Smaller files are dropped (`too_small`).", low=0)
    max_size_bytes: int = setting(0, "Larger files are dropped (`too_large`); 0 = no limit.", low=0)
    min_height_px: int = setting(0, "Pictures with fewer lines are dropped (`low_resolution`).", low=0)
    streams: str = setting("both", "Which streams a video must have.", choices=("both", "audio", "video", "any"))
    duplicates: str = setting("drop", "What happens to a second file of the same content.", choices=("drop", "keep"))
    where: str = setting(
        "",
        "An SQL condition on any column of videos.parquet and on those that came with the media (listed.parquet); what "
        "does not meet it is dropped (`where`).",
    )
    metadata_min_duration_s: float = setting(
        30.0, "Videos that their metadata call shorter are dropped (`metadata_too_short`).", low=0
    )
    metadata_max_duration_s: float = setting(
        597.0, "Videos that their metadata call longer are dropped (`metadata_too_long`); 0 = no limit.", low=0
    )
    languages: str = setting(
        "en,es,pt,ru,ja,fr,de,ko",
        "Videos with metadata whose title and description are in another language are dropped (`language`); empty = "
        "all go on. Where it cannot be told they go on.",
        pattern=r"[a-z]{2}(,[a-z]{2})*|",
        allowed="two-letter codes, separated by commas",
    )
    drop_categories: str = setting("Gaming", "Videos of these YouTube categories are dropped (`category`).")
    drop_artist: str = _words("artist", "artist,artists,singer,rapper,vevo,discography,full album,album")
    drop_animation: str = _words("animation", "animation,animated,anime,cartoon,cartoons,animatic,stop motion,amv")
    drop_gaming: str = _words(
        "gaming",
        "gaming,gameplay,gamer,playthrough,walkthrough,speedrun,let's play,lets play,minecraft,fortnite,roblox,xbox,"
        "playstation,nintendo",
    )
    drop_tutorial: str = _words("tutorial", "tutorial,tutorials,how to,lesson,course,step by step,tips and tricks")
    drop_official: str = _words(
        "official video",
        "official video,official music video,official audio,official lyric video,lyric video,official trailer,official",
    )
    keywords_in: str = setting(
        "title",
        "Where the words of `drop_artist` ... `drop_official` are looked for.",
        choices=("title", "title+description"),
    )


@dataclass(frozen=True)
class SegmentConfig:
    """How videos are cut into clips."""

    clip_s: float = setting(10.0, "Length of a clip, seconds.", low=0.5, high=600)
    mode: str = setting(
        "shots",
        "`shots`: the central piece of each shot that is long enough; `windows`: fixed windows one after another.",
        choices=("shots", "windows"),
    )
    max_clips: int = setting(3, "At most this many clips a video; 0 = all.", low=0)
    choice: str = setting(
        "different",
        "Which clips stay where a video has more: `different`: those that look most different, chosen greedily; "
        "`even`: evenly spread. `windows` are always evenly spread.",
        choices=("different", "even"),
    )
    source: str = setting(
        "video",
        "What counts as one source of clips, for bounds a source, audits and copies of a sound: `video`: each file; "
        "`title`: its title or folder; `column:<name>`: a column that came with the media, such as a channel. A video "
        "without a value is its own.",
        pattern=r"video|title|column:.{1,80}",
        allowed="video, title, or column: and the name of a column that came with the media",
    )
    hop_s: float = setting(0.0, "`windows`: distance of two starts, seconds; 0 = clip_s.", low=0)
    detector: str = setting(
        "structure",
        "`shots`: `structure`: scdet's score times how much the picture's structure changed, which pans and flashes "
        "do not change; `scdet`: FFmpeg's filter, exactly.",
        choices=("structure", "scdet"),
    )
    threshold: float = setting(
        0.0, "`shots`: a frame with this score starts a new shot; 0 = the detector's own, 3.5 or 10.", low=0, high=100
    )
    anneal: float = setting(
        1.2,
        "`scdet`: the threshold rises by this factor, up to 100, until max_clips shots are long enough; 1 = never.",
        low=1,
        high=100,
    )
    time_limit_s: float = setting(
        120.0,
        "A video that takes longer to search for shots (beyond its own duration) fails.",
        low=1,
        high=36000,
    )
    memory_limit_mb: int = setting(2048, "A video that needs more memory fails with `out_of_memory`.", low=256)


@dataclass(frozen=True)
class FeaturesConfig:
    """What is measured of each clip's sound and picture."""

    extractors: str = setting(
        "sound,picture",
        "Names of extractors, separated by commas: sound, picture, vggish, slowfast, slowfast-dense, or "
        "`hub:<model id>` for a model of the hub (`hub:owner/model@revision#audio`).",
        pattern=r"[\w.,:/@#-]+",
    )
    weights_folder: str = setting(
        "",
        "Where trained weights are looked for first; empty = only in the caches of torch and the hub.",
        affects=False,
    )
    fetch_weights: bool = setting(True, "Fetch trained weights that are not on this machine.", affects=False)
    measures: str = setting(
        "sound-health,picture-health,sound-print,picture-print,sound-onsets,picture-onsets",
        "Names of measures made in the same decoding (health, prints, onsets), separated by commas; they are not "
        "clustered. Empty = none.",
        pattern=r"[\w.,-]*",
    )
    time_limit_s: float = setting(
        60.0,
        "A file that takes longer (beyond the duration of its clips) fails with `timeout`.",
        low=1,
        high=36000,
    )
    memory_limit_mb: int = setting(3072, "A file that needs more memory fails with `out_of_memory`.", low=512)


@dataclass(frozen=True)
class HealthConfig:
    """What counts as a fault of a clip."""

    silent_share: float = setting(0.95, "`silent`: silent for at least this share of the time.", low=0, high=1)
    clipped_share: float = setting(0.001, "`clipped`: at least this share of samples at full scale.", low=0, high=1)
    quiet_lufs: float = setting(-45.0, "`quiet`: loudness below this, LUFS.", low=-90, high=0)
    black_share: float = setting(0.95, "`black`: black for at least this share of the time.", low=0, high=1)
    static_share: float = setting(0.98, "`static`: nothing moves for at least this share of the time.", low=0, high=1)
    slide_share: float = setting(
        0.8, "`slide_show`: nothing moves for at least this share of the time, but for steps.", low=0, high=1
    )
    length_gap_s: float = setting(
        0.5, "`length_mismatch`: one stream without the other for at least this long, seconds.", low=0.1
    )
    speech_score: float = setting(0.5, "`speech_like`: a score of at least this.", low=0, high=1)
    music_score: float = setting(0.5, "`music_like`: a score of at least this.", low=0, high=1)
    sound_distance: float = setting(
        0.2, "Copies in sound: at most this share of the signs of their prints differs.", low=0, high=0.4
    )
    picture_distance: float = setting(
        0.18, "Copies in picture: at most this share of the signs of their prints differs.", low=0, high=0.4
    )
    change_distance: float = setting(
        0.3, "Copies in picture: and at most this share of the signs of how they move.", low=0, high=1
    )
    shared_sources: int = setting(
        1, "`shared_sound`: at least so many other sources have this sound under another picture.", low=1
    )
    clear_event_percentile: float = setting(
        95.0, "`clear_event`: sound and motion fit better than this share of shifted and of other sounds, percent.",
        low=50, high=100,
    )  # fmt: skip
    late_sound_s: float = setting(
        0.15, "`sound_off_time`: a clear event whose sound is off by at least this, seconds.", low=0.04, high=0.5
    )
    unhealthy: str = setting(
        "missing_stream,silent,black,static",
        "A clip with one of these flags is not healthy; separated by commas, empty = none.",
        pattern=r"[\w, ]*",
        allowed="names of flags, separated by commas",
    )


@dataclass(frozen=True)
class ClusterConfig:
    """How each layer is clustered."""

    n_clusters: str = setting(
        "auto",
        "Clusters for every layer: a number, or `auto` = round(sqrt(clips / 4)) kept within 2 and 32.",
        pattern=r"auto|\d+",
        allowed="auto, or a whole number from 1 to 10000",
    )
    per_layer: str = setting(
        "",
        "Other counts for single layers, e.g. `sound.logmel=16,picture.motion=8`.",
        pattern=r"|[\w.-]+=(auto|\d+)(,[\w.-]+=(auto|\d+))*",
        allowed="layer=count, separated by commas",
    )
    layers: str = setting(
        "",
        "Only these layers, separated by commas; empty = all.",
        pattern=r"[\w., -]*",
        allowed="names of layers, separated by commas",
    )
    standardize: bool = setting(True, "Scale every feature to mean 0 and deviation 1 first.")
    pca_dim: int = setting(0, "Project onto this many principal components first; 0 = no projection.", low=0, high=4096)
    sample: int = setting(
        0,
        "Where there are more clips than this, k-means is trained on so many of them, drawn by a hash of their ids; "
        "all are assigned. 0 = as many as fit 2 GiB as 32-bit numbers.",
        low=0,
    )
    n_iter: int = setting(25, "Rounds of k-means.", low=1, high=1000)
    seed: int = setting(0, "Seed of k-means.", low=0, high=2**63 - 1)
    replicates: int = setting(
        5, "Runs of k-means with seeds of their own; `concord` averages over them and says how stable its choice is.",
        low=1, high=20,
    )  # fmt: skip
    fit: str = setting(
        "keep",
        "Where clips were added since a layer was clustered: `keep`: they join the clusters that are there, and the "
        "run says how far they drift from them; `refit`: clustered anew, of all clips.",
        choices=("keep", "refit"),
    )


METHOD_NAMES = (
    "concord", "batch-greedy", "greedy", "ratio", "ascent", "mixture", "pca-inner-product", "pca-cosine", "pca-l1",
    "pca-l2", "contrastive", "random", "matched-random",
)  # fmt: skip


def _shares(help: str) -> Any:
    """A setting that bounds the share of a column's values."""
    return setting(
        "",
        help + " of clips with this value of a column, e.g. `speech_like:true=0.4`; empty = none.",
        pattern=r"|[^:=,]+:[^:=,]+=[\d.]+(,[^:=,]+:[^:=,]+=[\d.]+)*",
        allowed="column:value=share, separated by commas",
    )


def _bounds(help: str) -> Any:
    """A setting that bounds every cluster of some clusterings."""
    return setting(
        "",
        help + " of every cluster of a clustering, e.g. `sound.logmel=0.1`; empty = none.",
        pattern=r"|[\w.-]+=[\d.]+(,[\w.-]+=[\d.]+)*",
        allowed="layer=share or layer=number of clips, separated by commas",
    )


@dataclass(frozen=True)
class SelectConfig:
    """Which clips are chosen."""

    budget: str = setting(
        "0.2",
        "How much is chosen: a share below 1, a number of clips, or hours with an h (`1.5h`).",
        pattern=r"\d*\.?\d+h?",
        allowed="a share such as 0.2, a number of clips such as 500, or hours such as 1.5h",
    )
    method: str = setting(
        "concord",
        "`concord`: clips whose sound belongs to their picture, then spread over kinds; "
        "`batch-greedy`: the most mutual information between sound and picture clusters (ACAV100M); `greedy`: one clip "
        "at a time; `ratio`, `ascent`, `mixture`: scores by how often clusters meet; `pca-...`, `contrastive`: "
        "baselines on features; `random`: the control; `matched-random`: the control with the clusters of `like`.",
        choices=METHOD_NAMES,
    )
    breadth: float = setting(
        0.5, "`concord`: from purest (0: the best pairs, of whatever kind) to broadest (1: every kind).", low=0, high=1
    )
    content_prior: str = setting(
        "graded",
        "`concord`: `graded` lets kinds of content that seldom correspond count against a clip, as far as the data "
        "show them; `off` judges the pairing of sound and picture alone.",
        choices=("graded", "off"),
    )
    options: str = setting(
        "",
        "Other settings that only this method has, e.g. `rounds=30,marginals=own` for `mixture`.",
        pattern=r"|[a-z_]+=[\w.+-]+(,[a-z_]+=[\w.+-]+)*",
        allowed="name=value, separated by commas",
    )
    like: str = setting("", "For `matched-random`: the name of the selection to resemble.", pattern=r"[\w .%+-]{0,60}")
    pairing: str = setting(
        "bipartite",
        "`bipartite`: every sound layer with every picture layer; `diagonal`: same position only; "
        "`combination`: also sound with sound and picture with picture (reference default, not evidence of "
        "correspondence).",
        choices=("bipartite", "diagonal", "combination"),
    )
    pairs: str = setting(
        "",
        "Only these pairs of clusterings, each with or each without a weight, e.g. `sound.logmel:picture.motion=2`; "
        "empty = as `pairing` says.",
        pattern=r"|[\w.-]+:[\w.-]+(=[\d.]+)?(,[\w.-]+:[\w.-]+(=[\d.]+)?)*",
        allowed="layer:layer or layer:layer=weight, separated by commas",
    )
    batch_size: int = setting(100, "Clips compared at a time.", low=1)
    selection_size: int = setting(
        25, "Clips taken of each batch; fewer where the budget would be full in under ten batches.", low=1
    )
    refill: str = setting(
        "redraw",
        "`redraw`: each batch is drawn from all that remain (the paper); `queue`: the rejected wait until all were "
        "seen.",
        choices=("redraw", "queue"),
    )
    layers: str = setting(
        "",
        "Only these clusterings, separated by commas; empty = all.",
        pattern=r"[\w., -]*",
        allowed="names of clusterings, separated by commas",
    )
    where: str = setting(
        "", "Scope: an SQL condition on the columns of the clips; only what meets it is chosen from. Answers "
        "(truth_..., label_...) cannot be named.",
    )  # fmt: skip
    include: str = setting("", "An SQL condition: clips that meet it are chosen first, before any comparison.")
    exclude: str = setting("", "An SQL condition: clips that meet it are never chosen.")
    review: str = setting(
        "none",
        "What people said of single clips: `honour` chooses what they kept first and never what they dropped; their "
        "word stands above `include` and `exclude`.",
        choices=("none", "honour"),
    )
    duplicates: str = setting(
        "one", "`one`: at most one clip of each duplicate group; `all`: as many as come.", choices=("one", "all")
    )
    max_per_source: int = setting(0, "At most this many clips of one source; 0 = no limit.", low=0)
    cluster_floor: str = _bounds("At least this share, or this many clips,")
    cluster_cap: str = _bounds("At most this share, or this many clips,")
    share_floor: str = _shares("At least this share")
    share_cap: str = _shares("At most this share")
    costs: bool = setting(
        False, "Also choose without each constraint and report what it costs in mutual information; takes longer."
    )
    seed: int = setting(0, "Seed of the draws.", low=0, high=2**63 - 1)
    name: str = setting(
        "",
        "Name of the selection; empty = made from method and budget.",
        affects=False,
        pattern=r"[\w .%+-]{0,60}",
    )


@dataclass(frozen=True)
class NeighboursConfig:
    """What finds the clips that sound or look most alike."""

    layers: str = setting(
        "",
        "Only these layers, separated by commas; empty = all, each counting the same.",
        pattern=r"[\w., -]*",
        allowed="names of layers, separated by commas",
    )
    dim: int = setting(64, "Principal components that are compared.", low=2, high=256)
    seed: int = setting(0, "Seed of the clips that the components and lists are fitted on.", low=0, high=2**63 - 1)


@dataclass(frozen=True)
class ProjectConfig:
    """The maps of sound and of picture."""

    method: str = setting(
        "pca",
        "How clips are laid out on a plane: `pca`: two principal components; `umap`: those, and a second map by UMAP, "
        "which takes minutes.",
        choices=("pca", "umap"),
    )
    seed: int = setting(0, "Seed of the draw that the map is fitted on.", low=0, high=2**63 - 1)


@dataclass(frozen=True)
class ResourcesConfig:
    """What a run may use; never changes a result."""

    workers: int = setting(
        0, "Decoding processes, and threads of k-means; 0 = one a core.", affects=False, low=0, high=256
    )
    device: str = setting(
        "auto", "Where networks, k-means and selection run.", affects=False, choices=("auto", "cpu", "cuda")
    )


@dataclass(frozen=True)
class Config:
    """All settings of a workspace."""

    scan: ScanConfig = field(default_factory=ScanConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    neighbours: NeighboursConfig = field(default_factory=NeighboursConfig)
    project: ProjectConfig = field(default_factory=ProjectConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)

    def replace(self, changes: Mapping[str, Any]) -> Config:
        """A copy with `{"select.budget": 0.2, ...}` applied. Raises `SettingError` naming what is allowed."""
        sections: dict[str, dict[str, Any]] = {}
        for key, value in changes.items():
            section, name = _split(key)
            kind = get_type_hints(type(getattr(self, section)))[name]
            sections.setdefault(section, {})[name] = converted(key, value, kind, _field(section, name).metadata)
        changed = {name: dataclasses.replace(getattr(self, name), **values) for name, values in sections.items()}
        config = dataclasses.replace(self, **changed)
        _check_budget(config.select.budget)
        if config.select.selection_size > config.select.batch_size:
            raise SettingError(
                f"select.selection_size is {config.select.selection_size} and select.batch_size "
                f"{config.select.batch_size}: a batch cannot give more clips than it has.",
                hint="Lower select.selection_size or raise select.batch_size.",
            )
        return config

    def affecting(self, section: str) -> dict[str, Any]:
        """The settings of `section` that change its result, for its fingerprint."""
        part = getattr(self, section)
        return {f.name: getattr(part, f.name) for f in dataclasses.fields(part) if f.metadata["affects"]}


def _check_budget(text: str) -> None:
    value = float(text.removesuffix("h"))
    if value <= 0 or (value > 1 and not text.endswith("h") and value != int(value)):
        raise SettingError(
            f"select.budget cannot be {text!r}.",
            hint="Allowed: a share such as 0.2, a number of clips such as 500, or hours such as 1.5h.",
        )


def _split(key: str) -> tuple[str, str]:
    section, _, name = key.partition(".")
    sections = [item.name for item in dataclasses.fields(Config)]
    if section not in sections:
        raise SettingError(f"Unknown setting {key!r}.", hint=f"Settings begin with one of: {', '.join(sections)}.")
    names = [item.name for item in dataclasses.fields(getattr(Config(), section))]
    if name not in names:
        raise SettingError(f"Unknown setting {key!r}.", hint=f"{section} has: {', '.join(names)}.")
    return section, name


def _field(section: str, name: str) -> Any:
    return next(item for item in dataclasses.fields(getattr(Config(), section)) if item.name == name)
