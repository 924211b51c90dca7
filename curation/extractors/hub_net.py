"""A model of the hub in torch: windows of a clip in, the means of several hidden layers and the joint embedding out."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from curation.errors import InputError

# First: beside a CPU build of torch, transformers' own import of torchaudio fails without it.
from curation.extractors import torchaudio_compat  # noqa: F401
from curation.extractors.hub_plan import Plan, picture_size
from curation.extractors.slowfast_frontend import spread
from curation.extractors.torch_runner import half_precision, usable

WINDOW_S, SHORTEST_S = 10.0, 1.0


class HubNetwork:
    """The model in `folder` on a device, read by `plan`."""

    def __init__(self, folder: Path, plan: Plan, device: str) -> None:
        from transformers import AutoFeatureExtractor, AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.plan, self.folder, self.device = plan, folder, usable(device)
        try:
            # No code of the model's repository is run (trust_remote_code is off), no file is unpickled freely.
            # Full precision whatever the file holds: half is for CUDA alone, where autocast chooses it.
            model, loaded = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
            )
        except Exception as error:  # the library and its readers of files have an error for each reason
            raise InputError(
                f"The model in {folder} cannot be loaded ({error}).", hint="Get its files anew."
            ) from error
        self.model: Any = model.to(self.device).eval().requires_grad_(False)
        self._seen: dict[int, torch.Tensor] = {}
        self._watch(list(loaded["missing_keys"]))
        self._processor: Any = None
        if plan.side.looks == "sound":
            self._processor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)

    def sound_windows(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """float32 (S,) to what the model sees of windows of 10 s that cover it, float32 (n, ...)."""
        clean = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)
        clean = np.pad(clean, (0, max(round(SHORTEST_S * rate_hz) - len(clean), 0)))
        length = min(len(clean), round(WINDOW_S * rate_hz))
        starts = spread(len(clean) - length + 1, -(-len(clean) // length))
        name = self._processor.model_input_names[0]
        cut = [
            self._processor(clean[start : start + length], sampling_rate=rate_hz, return_tensors="np")[name][0]
            for start in starts
        ]
        return np.stack(cut).astype(np.float32)

    def picture_windows(self, frames: np.ndarray) -> np.ndarray:
        """uint8 (T, H, W, 3) to stills float32 (T, 3, h, w), or to one film (1, n_frames, 3, h, w)."""
        if self.plan.side.looks == "film":
            frames = frames[spread(len(frames), self.plan.n_frames)]
        pictures = np.stack([prepared_picture(frame, self.plan.processor) for frame in frames])
        return pictures[None] if self.plan.side.looks == "film" else pictures

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Float32 (m, ...) to float32 arrays (m, dim), one a layer of the plan."""
        self._seen.clear()
        with torch.inference_mode(), half_precision(self.device):
            joint = self._forward(torch.from_numpy(batch).to(self.device))
            pooled = [self._pooled(self._seen.get(block), len(batch)) for block in self.plan.blocks]
            if joint is not None:
                pooled.append(F.normalize(joint.float(), dim=-1))
        outputs = [values.float().cpu().numpy() for values in pooled]
        for layer, values in zip(self.plan.layers, outputs, strict=True):
            if values.shape != (len(batch), layer.dim):
                raise InputError(f"{self.folder}: {layer.name} gives {values.shape[1:]}, not ({layer.dim},) numbers.")
        return outputs

    def text(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors float32 (n, dim) in the space of the layer `joint`."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        # SigLIP was trained on texts of full length and gives other numbers without.
        padding = "max_length" if self.model.config.model_type.startswith("siglip") else True
        words = tokenizer(list(texts), padding=padding, truncation=True, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            if self.plan.side.text_head:
                states = self.model.text_model(**words, output_hidden_states=True).hidden_states
                values = attrgetter(self.plan.side.text_head)(self.model)(states[-1][:, 0])
            else:
                values = _tensor(self.model.get_text_features(**words))
        return F.normalize(values.float(), dim=-1).cpu().numpy()

    def _forward(self, batch: torch.Tensor) -> torch.Tensor | None:
        """Run the side of the model; the joint embedding if it has one."""
        side = self.plan.side
        module = attrgetter(side.module)(self.model) if side.module else self.model
        if side.looks == "sound":
            named = {self._processor.model_input_names[0]: batch}
            if "is_longer" in self._processor.model_input_names:
                named["is_longer"] = torch.ones(len(batch), 1, dtype=torch.bool, device=self.device)
        else:
            named = {module.main_input_name: batch}
        if side.embed:
            return _tensor(getattr(self.model, side.embed)(**named))
        output = module(**named)
        return attrgetter(side.head)(self.model)(output.pooler_output) if side.head else None

    def _watch(self, missing: list[str]) -> None:
        """Keep what the chosen blocks give; they are the largest list of `n_blocks` modules.

        The library draws parameters that the file lacks at random: refused where they count (a head may lack).
        """
        side = self.plan.side
        start = f"{side.module}." if side.module else ""
        lists = {
            name: m
            for name, m in self.model.named_modules()
            if isinstance(m, nn.ModuleList) and len(m) == self.plan.n_blocks and name.startswith(start)
        }
        if not lists:
            raise InputError(f"No list of {self.plan.n_blocks} blocks was found in the model in {self.folder}.")
        place = max(lists, key=lambda name: sum(p.numel() for p in lists[name].parameters()))
        lacking = [key for key in missing if self.plan.joint or key.startswith(f"{place}.")]
        if lacking:
            raise InputError(
                f"The weights in {self.folder} lack {len(lacking)} parameters: {', '.join(sorted(lacking)[:4])} ...",
                hint="Get its files anew.",
            )
        for number in self.plan.blocks:
            lists[place][number - 1].register_forward_hook(lambda _m, _i, output, n=number: self._keep(n, output))

    def _keep(self, number: int, output: Any) -> None:
        self._seen[number] = output[0] if isinstance(output, tuple) else output

    def _pooled(self, states: torch.Tensor | None, n: int) -> torch.Tensor:
        """(n, tokens, C) to the mean over tokens (n, C)."""
        if states is None or states.shape[0] != n or states.ndim != 3:
            raise InputError(f"The blocks of the model in {self.folder} do not give one row of vectors a window.")
        return states.float().mean(dim=1)


def prepared_picture(frame: np.ndarray, processor: dict[str, Any]) -> np.ndarray:
    """uint8 RGB (H, W, 3) to float32 (3, h, w), resized by Pillow, cropped and normalised as the model's file says."""
    short, exact, crop = picture_size(processor)
    if short is not None:
        height, width = frame.shape[:2]
        exact = (max(height * short // min(height, width), 1), max(width * short // min(height, width), 1))
    if exact is not None and exact != frame.shape[:2]:
        resample = Image.Resampling(int(processor.get("resample", Image.Resampling.BICUBIC)))
        frame = np.asarray(Image.fromarray(frame).resize(exact[::-1], resample))
    if crop is not None:
        frame = _cropped(frame, *crop)
    scale = float(processor.get("rescale_factor", 1 / 255)) if processor.get("do_rescale", True) else 1.0
    values = frame.transpose(2, 0, 1) * np.float32(scale)
    if processor.get("do_normalize", True) and processor.get("image_mean") is not None:
        mean, deviation = (np.asarray(processor[key], np.float32)[:, None, None] for key in ("image_mean", "image_std"))
        values = (values - mean) / deviation
    return values.astype(np.float32)


def _cropped(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """The centre (height, width, 3), black where the picture is smaller."""
    lack_y, lack_x = (max(wanted - have, 0) for wanted, have in zip((height, width), frame.shape[:2]))
    frame = np.pad(frame, ((lack_y // 2, lack_y - lack_y // 2), (lack_x // 2, lack_x - lack_x // 2), (0, 0)))
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return frame[top : top + height, left : left + width]


def _tensor(output: Any) -> torch.Tensor:
    """An embedding, bare or in the library's box."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output
