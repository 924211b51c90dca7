"""What a model of the hub sees and gives: its configuration in, a plan of inputs, blocks and layers out.

Known kinds of models are listed; another one is taken by what its processor's file says it looks at.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from curation.errors import InputError, MissingPackageError, SettingError
from curation.extractors.base import InputSpec, Layer
from curation.extractors.hub_files import INSTALL
from curation.extractors.hub_name import HubName

Looks = Literal["sound", "stills", "film"]
N_STILLS, STILLS_RATE_HZ, FILM_RATE_HZ, FILM_FRAMES = 8, 4.0, 8.0, 16
N_LAYERS = 5
JOINT = "joint"


@dataclass(frozen=True)
class Side:
    """One side of a kind of models. `module` is its path in the model ("" = the model itself), `config` that of its
    configuration; `embed` a method and `head` a module that give the embedding shared with text ("" = none)."""

    looks: Looks
    module: str = ""
    config: str = ""
    embed: str = ""
    head: str = ""
    text_head: str = ""


_CLIP = (Side("stills", "vision_model", "vision_config", "get_image_features"),)
_SOUND, _STILLS, _FILM = (Side("sound"),), (Side("stills"),), (Side("film"),)
SIDES: dict[str, tuple[Side, ...]] = {
    "clap": (Side("sound", "audio_model", "audio_config", "get_audio_features"),),
    **dict.fromkeys(("clip", "siglip", "metaclip_2", "chinese_clip", "altclip"), _CLIP),
    **dict.fromkeys(("dinov2", "dinov2_with_registers", "dinov3_vit", "vit", "deit", "beit", "ijepa"), _STILLS),
    **dict.fromkeys(("videomae", "vivit", "timesformer"), _FILM),
    **dict.fromkeys(("audio-spectrogram-transformer", "wav2vec2", "hubert", "wavlm", "data2vec-audio"), _SOUND),
    "pe_audio": (Side("sound", "audio_encoder", "audio_config", head="audio_head", text_head="text_audio_head"),),
    "pe_video": (Side("film", "video_encoder", "video_config", head="video_head", text_head="text_video_head"),),
    "pe_audio_video": (
        Side(
            "sound",
            "audio_model.audio_encoder",
            "audio_config.audio_config",
            head="audio_model.audio_head",
            text_head="audio_model.text_audio_head",
        ),
        Side(
            "film",
            "video_model.video_encoder",
            "video_config.video_config",
            head="video_model.video_head",
            text_head="video_model.text_video_head",
        ),
    ),
}


@dataclass(frozen=True)
class Plan:
    """A model's side, what it looks at, how many blocks it has and which of them (from 1) are layers."""

    side: Side
    input: InputSpec
    n_blocks: int
    blocks: tuple[int, ...]
    layers: tuple[Layer, ...]
    processor: dict[str, Any]
    n_frames: int

    @property
    def joint(self) -> bool:
        """Whether the model has a text side."""
        return self.layers[-1].name == JOINT


def make_plan(name: HubName, folder: Path) -> Plan:
    """The plan of the model in `folder`. Raises SettingError or InputError for a model that does not fit."""
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingPackageError(f"{name} needs the package transformers ({error}).", hint=INSTALL) from error
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The configuration of {name} cannot be used ({error}).", hint="Is transformers new enough?"
        ) from error
    processor = read_processor(folder)
    side = _side(name, config.model_type, processor)
    part = config
    for step in filter(None, side.config.split(".")):
        part = getattr(part, step)
    widths = _widths(name, part)
    joint_dim = _joint_dim(config, part) if side.embed or side.head else 0
    n_picked = min(N_LAYERS - bool(joint_dim), len(widths))
    blocks = tuple(math.ceil(len(widths) * (k + 1) / n_picked) for k in range(n_picked))
    layers = [Layer(f"block{block}", widths[block - 1]) for block in blocks]
    if joint_dim:
        layers.append(Layer(JOINT, joint_dim))
    n_frames = int(getattr(part, "num_frames", 0) or FILM_FRAMES) if side.looks == "film" else N_STILLS
    return Plan(side, _input(side, processor, n_frames), len(widths), blocks, tuple(layers), processor, n_frames)


def read_processor(folder: Path) -> dict[str, Any]:
    """The settings of a model's front end, wherever its version of the library keeps them."""
    for file in ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"):
        if (path := folder / file).is_file():
            found = json.loads(path.read_text("utf-8"))
            for inner in ("feature_extractor", "image_processor", "video_processor"):
                if isinstance(found.get(inner), dict):
                    return dict(found[inner])
            return dict(found)
    return {}


def picture_size(processor: dict[str, Any]) -> tuple[int | None, tuple[int, int] | None, tuple[int, int] | None]:
    """(short side to resize to, or None; height and width to resize to, or None; height and width to crop, or None)."""
    size, crop = processor.get("size"), processor.get("crop_size")
    short = exact = None
    if processor.get("do_resize", True) and size:
        if isinstance(size, int):
            short = size
        elif "shortest_edge" in size:
            short = int(size["shortest_edge"])
        else:
            exact = (int(size["height"]), int(size["width"]))
    square = None
    if processor.get("do_center_crop", "crop_size" in processor) and crop:
        square = (crop, crop) if isinstance(crop, int) else (int(crop["height"]), int(crop["width"]))
    return short, exact, square


def _side(name: HubName, model_type: str, processor: dict[str, Any]) -> Side:
    sides = SIDES.get(model_type) or _by_processor(processor)
    if not sides:
        raise InputError(
            f"{name} is a {model_type} model, which is not known to look at sound or pictures.",
            hint=f"Known kinds: {', '.join(SIDES)}.",
        )
    fitting = [side for side in sides if name.side in ("", "audio" if side.looks == "sound" else "picture")]
    if len(fitting) != 1:
        raise SettingError(
            f"{name}: this model has {'both sides' if len(sides) > 1 else f'no {name.side} side'}.",
            hint="Choose: " + ", ".join(f"#{'audio' if side.looks == 'sound' else 'picture'}" for side in sides) + ".",
        )
    return fitting[0]


def _by_processor(processor: dict[str, Any]) -> tuple[Side, ...]:
    if "video_processor_type" in processor:
        return _FILM
    if "image_processor_type" in processor:
        return _STILLS
    return _SOUND if "feature_extractor_type" in processor and "sampling_rate" in processor else ()


def _widths(name: HubName, part: Any) -> list[int]:
    """Length of the vectors after each block."""
    if depths := getattr(part, "depths", None):
        first = int(getattr(part, "patch_embeds_hidden_size", 0) or getattr(part, "embed_dim", 0))
        # Each stage but the last halves the picture and doubles the channels.
        return [first * 2 ** min(i + 1, len(depths) - 1) for i in range(len(depths))]
    width, n_blocks = getattr(part, "hidden_size", 0), getattr(part, "num_hidden_layers", 0)
    if not width or not n_blocks:
        raise InputError(f"The configuration of {name} does not say how many blocks of what width it has.")
    return [int(width)] * int(n_blocks)


def _joint_dim(config: Any, part: Any) -> int:
    if config.model_type.startswith("pe_"):
        return int(config.text_config.hidden_size)
    return int(getattr(config, "projection_dim", 0) or part.hidden_size)


def _input(side: Side, processor: dict[str, Any], n_frames: int) -> InputSpec:
    if side.looks == "sound":
        return InputSpec(sample_rate_hz=int(processor.get("sampling_rate", 16_000)))
    short, exact, crop = picture_size(processor)
    size = short or max(exact or crop or (224, 224))
    rate = STILLS_RATE_HZ if side.looks == "stills" else FILM_RATE_HZ
    return InputSpec(frame_rate_hz=rate, max_frames=n_frames, frame_size=size)
