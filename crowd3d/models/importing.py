"""A published checkpoint, read without running anything in it, and kept as .safetensors."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from crowd3d.errors import ModelError
from crowd3d.files.digests import digest_of
from crowd3d.files.reading import open_regular
from crowd3d.files.weights import write_weights
from crowd3d.models import catalog
from crowd3d.models.registry import from_official
from crowd3d.version import __version__

_WRAPPERS = ("network", "state_dict", "model")  # under which training scripts put the weights
_PARALLEL = "module."  # put before every name by data-parallel training


def import_checkpoint(name: str, file: Path, out: Path | None = None) -> Path:
    """Check a published checkpoint, and write it in our layout.

    Args:
        name: network, as `from_official` takes it.
        file: .pth, .pt, .pkl or .tar as published.
        out: .safetensors file to write; by default where `build(name)` looks.

    Returns:
        The file written. Its metadata say which network, from which file, and that file's SHA-256.

    Raises:
        ModelError: unreadable, damaged, in need of running code, or another network's.
        OutputError: the result cannot be written.
    """
    network = from_official(name, read_checkpoint(file))
    metadata = {
        "network": name,
        "imported_from": file.name,
        "sha256": digest_of(file),
        "crowd3d": __version__,
    }
    target = out or catalog.installed_path(name)
    write_weights(target, network.state_dict(), metadata)
    return target


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by their published names, out of whatever a training script wrapped them in.

    Raises:
        ModelError: unreadable, damaged, holds something else than tensors, or would have to run code.
    """
    content = _unwrapped(_load(file))
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) < len(content):
        strange = next((key for key in content if key not in tensors), "nothing")
        raise ModelError(f"{file} does not hold a network's tensors; found {strange!r}")
    while all(key.startswith(_PARALLEL) for key in tensors):
        tensors = {key.removeprefix(_PARALLEL): value for key, value in tensors.items()}
    return tensors


def _unwrapped(content: Mapping[str, object]) -> Mapping[str, object]:
    for key in _WRAPPERS:
        inner = content.get(key)
        if isinstance(inner, Mapping):
            return _unwrapped(inner)
    return content


def _load(file: Path) -> Mapping[str, object]:
    try:
        with warnings.catch_warnings():
            # Old pickle protocols are only warned of; what matters is refused below.
            warnings.simplefilter("ignore")
            with open_regular(file, ModelError) as stream:
                content = torch.load(stream, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or error}") from None
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|class|Unsupported global:?)\s+([\w.]+)", str(error))
        what = f" ({found[1]})" if found else ""
        raise ModelError(
            f"{file} is refused: reading it would run code inside it{what}, or it is damaged; only"
            " files of plain tensors are read"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        raise ModelError(f"{file} is not a checkpoint, or is damaged: {error}") from None
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ModelError(f"{file} does not hold tensors by name but a {type(content).__name__}")
    return content
