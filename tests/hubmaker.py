"""Tiny models of the hub with a text side and random weights, saved as folders: what a run needs, no download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ("a", "dog", "bell", "rings", "barks", "rain", "sound", "photo", "the", "of", "red", "blue", "music", "car")


def make_models(root: Path, kinds: tuple[str, ...] = ("clap", "clip")) -> Path:
    """`root`/tiny/clap (sound) and `root`/tiny/clip (picture), made with seed 0. Skips without transformers."""
    import pytest
    import torch

    # First: beside a CPU build of torch, transformers' own import of torchaudio fails without it.
    from curation.extractors.torchaudio_compat import EXTENSION_LOADED  # noqa: F401

    tr = pytest.importorskip("transformers", reason="the optional package transformers is not installed")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
        words = {**size, "num_hidden_layers": 1, "vocab_size": len(WORDS) + 2}
        if "clap" in kinds:
            audio = {"patch_embeds_hidden_size": 8, "hidden_size": 64, "depths": [1] * 4, "projection_dim": 8}
            config = tr.ClapConfig(
                text_config={**words, "pad_token_id": 1, "projection_dim": 8},
                audio_config={**audio, "num_attention_heads": [1] * 4}, projection_dim=8,
            )  # fmt: skip
            processor = tr.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
            _save(root / "tiny" / "clap", tr.ClapModel(config), processor)
        if "clip" in kinds:
            config = tr.CLIPConfig(
                text_config={**words, "max_position_embeddings": 12, "eos_token_id": 1, "bos_token_id": 0},
                vision_config={**size, "num_hidden_layers": 2, "image_size": 28, "patch_size": 14}, projection_dim=16,
            )  # fmt: skip
            look = {"image_processor_type": "Any", "size": {"height": 28, "width": 28}, "image_mean": [0.5] * 3}
            _save(root / "tiny" / "clip", tr.CLIPModel(config), {**look, "image_std": [0.25] * 3})
    return root


def _save(folder: Path, model: Any, processor: Any) -> None:
    model.save_pretrained(folder)
    if isinstance(processor, dict):
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    else:
        processor.save_pretrained(folder)
    write_tokenizer(folder)


def write_tokenizer(folder: Path, words: tuple[str, ...] = WORDS) -> None:
    """A tokenizer that knows `words` and nothing else."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<pad>", *words])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token="<pad>", model_max_length=12
    ).save_pretrained(folder)
