"""torchaudio's pure-torch parts, also where its compiled extension does not load.

Out: `functional` and `transforms` (MelSpectrogram, MelScale, MFCC, Resample, ...) and `EXTENSION_LOADED`.
torchaudio's wheel holds an extension built for one CUDA version; beside a CPU build of torch, or another CUDA
version, `import torchaudio` fails although nothing that is needed here uses it. Then torchaudio is imported
once more with a stand-in that says "no extension", the state torchaudio itself knows as a build without one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from curation.errors import MissingPackageError

_PACKAGE = "torchaudio"


def _absent(name: str) -> Callable[..., Any]:
    def refuse(*_args: Any, **_options: Any) -> Any:
        raise MissingPackageError(
            f"torchaudio.{name} needs a compiled extension, which does not fit this build of torch.",
            hint="Install torch and torchaudio built for the same CUDA version.",
        )

    return refuse


def _stand_in() -> ModuleType:
    """A `torchaudio._extension` that offers what its importers look for and loads nothing."""
    module = ModuleType(f"{_PACKAGE}._extension")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    module._IS_ALIGN_AVAILABLE = False  # type: ignore[attr-defined]
    module._check_cuda_version = lambda: None  # type: ignore[attr-defined]
    module._load_lib = lambda _lib: False  # type: ignore[attr-defined]
    module.fail_if_no_align = lambda function: _absent(function.__name__)  # type: ignore[attr-defined]
    return module


def _forget() -> None:
    """Drop what a failed import left behind, so that the next import starts clean."""
    for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]


def _load() -> bool:
    """Import torchaudio; True when its extension came along."""
    try:
        module = importlib.import_module(_PACKAGE)
        extension = getattr(module, "_extension", None)
        return bool(getattr(extension, "_IS_TORCHAUDIO_EXT_AVAILABLE", False))
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"The sound features need the package torchaudio ({error}).",
            hint='Install it: pip install "torchaudio>=2.11,<2.12"',
        ) from error
    except (OSError, RuntimeError, ImportError):
        # OSError: a shared library is missing; RuntimeError: built for another CUDA version.
        _forget()
        return _load_without_extension()


def _load_without_extension() -> bool:
    sys.modules[f"{_PACKAGE}._extension"] = _stand_in()
    try:
        importlib.import_module(_PACKAGE)
    except (OSError, RuntimeError, ImportError) as error:
        _forget()
        raise MissingPackageError(
            f"torchaudio does not load beside this torch ({error}).",
            hint='Install a fitting pair: pip install "torch>=2.11,<2.14" "torchaudio>=2.11,<2.12"',
        ) from error
    return False


EXTENSION_LOADED: bool = _load()

functional: ModuleType = importlib.import_module(f"{_PACKAGE}.functional")
transforms: ModuleType = importlib.import_module(f"{_PACKAGE}.transforms")
