"""Models of the hub: names, files, and the numbers of tiny models with random weights, made here and saved."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.errors import InputError, MissingPackageError, SettingError
from curation.extractors import hub_files, registry
from curation.extractors.hub_name import HubName, parse
from curation.extractors.hub_plan import picture_size
from curation.extractors.torchaudio_compat import EXTENSION_LOADED  # noqa: F401 - transformers imports torchaudio
from curation.extractors.weights import MissingWeightsError
from curation.media.decode import DecodedClip

MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.2, 0.3, 0.25]


def test_names_are_taken_apart() -> None:
    assert parse("hub:laion/clap-htsat-unfused") == HubName("laion/clap-htsat-unfused")
    assert parse("hub:a/b.c@v1.0#audio") == HubName("a/b.c", "v1.0", "audio")
    assert str(parse("hub:a/b.c@v1.0#audio")) == "hub:a/b.c@v1.0#audio"


@pytest.mark.parametrize(
    "name", ["hub:", "hub:/etc/passwd", "hub:../x", "hub:a/b/c", "hub:a b", "hub:a/b#smell", "hub:a/b@"]
)
def test_names_of_another_form_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match="hub:owner/model"):
        registry.get(name)


def test_folder_names_are_safe_and_different() -> None:
    names = [
        "hub:a/b",
        "hub:a-b",
        "hub:A/b",
        "hub:a/b.1",
        "hub:a/b-1",
        "hub:a/b@1",
        "hub:a/b#audio",
        "hub:x/" + "y" * 200,
    ]
    slugs = [registry.folder_name(name) for name in names]
    assert len({slug.lower() for slug in slugs}) == len(names)
    assert all(slug.replace("-", "").replace("_", "").isalnum() and len(slug) < 80 for slug in slugs)
    assert registry.folder_name("sound") == "sound" and registry.get("hub:a/b").name == registry.folder_name("hub:a/b")


def test_picture_sizes_of_every_spelling() -> None:
    assert picture_size({"size": 224}) == (224, None, None)
    assert picture_size({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 200}}) == (
        256,
        None,
        (224, 200),
    )
    assert picture_size({"size": {"height": 64, "width": 32}, "do_center_crop": False, "crop_size": 9}) == (
        None,
        (64, 32),
        None,
    )
    assert picture_size({"do_resize": False, "size": 5}) == (None, None, None)


def test_without_the_package_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from curation.errors import MissingPackageError\n"
        "from curation.extractors import registry\n"
        "made = registry.get('hub:a/b')\n"
        "assert 'pip install transformers' in made.available().missing\n"
        "try:\n    made.prepare()\n"
        "except MissingPackageError:\n    sys.exit('torch' in sys.modules)\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fake_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_the_folder_comes_before_the_hubs_cache(tmp_path: Path, own_cache: Path) -> None:
    kept = own_cache / "models--a--b"
    snapshot = fake_model(kept / "snapshots" / "0123abc")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0123abc")
    assert hub_files.find(HubName("a/b")) == snapshot
    assert hub_files.located(HubName("a/b")).revision == "0123abc"
    assert hub_files.find(HubName("a/b", "0123abc")) == snapshot and hub_files.find(HubName("a/b", "other")) is None
    own = fake_model(tmp_path / "own" / "a" / "b")
    assert hub_files.find(HubName("a/b"), str(tmp_path / "own")) == own
    same, before = hub_files.located(HubName("a/b")), hub_files.located(HubName("a/b"), str(tmp_path / "own"))
    assert same.sha256 == before.sha256
    (own / "config.json").write_text("{ }")
    assert hub_files.located(HubName("a/b"), str(tmp_path / "own")).sha256 != before.sha256


def test_a_large_file_in_the_hubs_cache_is_known_by_its_name(own_cache: Path) -> None:
    snapshot = fake_model(own_cache / "models--a--b" / "snapshots" / "main")
    blob = own_cache / "models--a--b" / "blobs" / ("5" * 64)
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    assert hub_files._sha256(snapshot / "model.safetensors") == "5" * 64


def test_a_model_that_is_not_here_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises((MissingWeightsError, MissingPackageError)) as caught:
        registry.get("hub:a/b@v2", weights_folder=str(tmp_path), fetch=False).prepare()
    if isinstance(caught.value, MissingWeightsError):
        assert "https://huggingface.co/a/b/tree/v2" in str(caught.value) and str(tmp_path / "a/b") in str(caught.value)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tiny models of five kinds under tiny/<kind>."""
    tr = pytest.importorskip("transformers", reason="the optional package transformers is not installed")
    root = tmp_path_factory.mktemp("models")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    look = {
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "size": {"shortest_edge": 36},
        "crop_size": {"height": 28, "width": 28},
    }
    words = {**size, "num_hidden_layers": 1, "vocab_size": 8}

    def save(kind: str, model: Any, processor: dict[str, Any] | Any) -> None:
        model.save_pretrained(root / "tiny" / kind)
        if isinstance(processor, dict):
            (root / "tiny" / kind / "preprocessor_config.json").write_text(json.dumps(processor))
        else:
            processor.save_pretrained(root / "tiny" / kind)

    still = {"image_processor_type": "Any", **look}
    save("dino", tr.Dinov2Model(tr.Dinov2Config(**size, num_hidden_layers=6, image_size=28, patch_size=14)), still)
    film = tr.VideoMAEConfig(**size, num_hidden_layers=3, image_size=28, patch_size=14, num_frames=4)
    save("film", tr.VideoMAEModel(film), still)
    vision = {**size, "num_hidden_layers": 4, "image_size": 28, "patch_size": 14}
    siglip = tr.SiglipConfig(
        text_config={**words, "projection_size": 16, "max_position_embeddings": 6}, vision_config=vision
    )
    save("siglip", tr.SiglipModel(siglip), {**still, "size": {"height": 28, "width": 28}})
    ast = tr.ASTConfig(**size, num_hidden_layers=5, max_length=200)
    save("ast", tr.ASTModel(ast), tr.ASTFeatureExtractor(max_length=200))
    audio = {"patch_embeds_hidden_size": 8, "hidden_size": 64, "depths": [1] * 4, "num_attention_heads": [1] * 4}
    clap = tr.ClapConfig(
        text_config={**words, "pad_token_id": 1}, audio_config={**audio, "projection_dim": 8}, projection_dim=8
    )
    save("clap", tr.ClapModel(clap), tr.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad"))
    for kind in ("siglip", "clap"):
        _write_tokenizer(root / "tiny" / kind)
    yield root
    torch.set_num_threads(threads)


def _write_tokenizer(folder: Path) -> None:
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<pad>", "a", "dog", "bell", "rings", "barks"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token="<pad>", model_max_length=6
    ).save_pretrained(folder)


def clip_of(seconds: float, n_frames: int, seed: int = 0, rate_hz: int = 48_000) -> DecodedClip:
    rng = np.random.default_rng(seed)
    audio = (0.3 * np.sin(np.arange(round(seconds * rate_hz)) * rng.uniform(0.02, 0.2))).astype(np.float32)
    frames = rng.integers(0, 256, (n_frames, 28, 40, 3), dtype=np.uint8)
    return DecodedClip(frames, np.arange(n_frames) / 4, 4.0, audio, rate_hz, seconds)


EXPECTED = {
    "dino": ("visual", {"block2": 16, "block3": 16, "block4": 16, "block5": 16, "block6": 16}),
    "film": ("visual", {"block1": 16, "block2": 16, "block3": 16}),
    "siglip": ("visual", {"block1": 16, "block2": 16, "block3": 16, "block4": 16, "joint": 16}),
    "ast": ("audio", {"block1": 16, "block2": 16, "block3": 16, "block4": 16, "block5": 16}),
    "clap": ("audio", {"block1": 16, "block2": 32, "block3": 64, "block4": 64, "joint": 8}),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_layers_numbers_and_batches(models: Path, kind: str) -> None:
    extractor: Any = registry.get(f"hub:tiny/{kind}", weights_folder=str(models), fetch=False)
    assert extractor.available().ready
    modality, layers = EXPECTED[kind]
    assert extractor.modality == modality and {layer.name: layer.dim for layer in extractor.layers} == layers
    assert all(extractor.describe(name).endswith(".") for name in layers)
    fingerprint = extractor.fingerprint()
    assert json.loads(json.dumps(fingerprint)) == fingerprint and len(fingerprint["weights"]["sha256"]) == 64
    silent = DecodedClip(np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0), 4.0, np.zeros(0, np.float32), 48_000, 1.0)
    clips = [clip_of(0.2, 1, 1), silent, clip_of(11.0, 6, 2)]
    values, valid = extractor.extract(clips)
    assert valid.tolist() == [True, False, True]
    for name, dim in layers.items():
        assert values[name].shape == (3, dim) and np.isfinite(values[name]).all() and not values[name][1].any()
        assert np.abs(values[name][0] - values[name][2]).max() > 1e-5, name
        np.testing.assert_array_equal(values[name][2], extractor.extract(clips[2:]).values[name][0])
    extractor.joins_clips = True
    for name, array in extractor.extract(clips).values.items():
        np.testing.assert_allclose(array, values[name], atol=1e-3 * np.abs(values[name]).max())


def test_layers_are_the_librarys_hidden_states(models: Path) -> None:
    from transformers import AutoModel

    extractor = registry.get("hub:tiny/dino", weights_folder=str(models), fetch=False)
    clip = clip_of(1.0, 1)
    # Short side 36 of 28 x 40 pictures, the centre of 28 x 28, by Pillow as the library does.
    from PIL import Image

    resized = Image.fromarray(clip.frames[0]).resize((40 * 36 // 28, 36), Image.Resampling.BICUBIC)
    pixels = np.asarray(resized)[4:32, 11:39] / 255.0
    batch = torch.from_numpy(((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)[None]).float()
    states = AutoModel.from_pretrained(models / "tiny/dino")(batch, output_hidden_states=True).hidden_states
    for block in (2, 6):
        wanted = states[block].mean(dim=1)[0].detach().numpy()
        np.testing.assert_allclose(extractor.extract([clip]).values[f"block{block}"][0], wanted, atol=1e-5)


def test_text_and_clips_share_a_space(models: Path) -> None:
    for kind, dim in (("siglip", 16), ("clap", 8)):
        extractor: Any = registry.get(f"hub:tiny/{kind}", weights_folder=str(models), fetch=False)
        vectors = extractor.text_embeddings(["a dog barks", "a bell"])
        assert vectors.shape == (2, dim) == (2, extractor.layers[-1].dim) and vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
        np.testing.assert_allclose(extractor.text_embeddings(["a bell"])[0], vectors[1], atol=1e-5)
        assert extractor.text_embeddings([]).shape == (0, dim)


def test_what_does_not_fit_is_said(models: Path) -> None:
    def made(name: str) -> Any:
        return registry.get(name, weights_folder=str(models), fetch=False)

    with pytest.raises(InputError, match="no text side"):
        made("hub:tiny/dino").text_embeddings(["a"])
    with pytest.raises(SettingError, match="no audio side"):
        made("hub:tiny/dino#audio").prepare()
    folder = models / "tiny" / "words"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="bert model, which is not known to look at sound or pictures"):
        made("hub:tiny/words").prepare()
    (folder / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    with pytest.raises(InputError, match="cannot be loaded"):
        made("hub:tiny/words").extract([clip_of(1.0, 1)])


def test_weights_that_lack_a_block_are_refused_rather_than_drawn(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "tiny" / "cut"
    shutil.copytree(models / "tiny" / "dino", folder)
    tensors = load_file(folder / "model.safetensors")
    gone = next(key for key in tensors if ".3." in key)
    save_file({key: value for key, value in tensors.items() if key != gone}, folder / "model.safetensors")
    extractor = registry.get("hub:tiny/cut", weights_folder=str(tmp_path), fetch=False)
    with pytest.raises(InputError, match="lack 1 parameters"):
        extractor.extract([clip_of(1.0, 1)])


def test_half_precision_files_are_run_in_full_on_the_cpu(models: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = tmp_path / "tiny" / "half"
    shutil.copytree(models / "tiny" / "dino", folder)
    AutoModel.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder)
    extractor: Any = registry.get("hub:tiny/half", weights_folder=str(tmp_path), fetch=False)
    extractor.extract([clip_of(1.0, 1)])
    assert {p.dtype for p in extractor._network.model.parameters()} == {torch.float32}
