"""Reading and writing the weights of a network as a .safetensors file, and what such a file says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from crowd3d.errors import ModelError
from crowd3d.files import strict_json
from crowd3d.files.atomic import write_bytes
from crowd3d.files.reading import open_regular

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@dataclass(frozen=True)
class StoredWeights:
    """What a file holds.

    Attributes:
        tensors: by name, float32 on the CPU whatever precision the file has.
        metadata: what the file says of itself.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the training: recipe, measurements; raises ModelError if it is no JSON."""
        try:
            return dict(strict_json.loads(self.metadata.get("facts", "{}")))
        except (ValueError, TypeError) as error:
            raise ModelError(f"what weights say of their training is no JSON: {error}") from None


def read_weights(file: Path | Traversable) -> StoredWeights:
    """The tensors and the metadata of a file.

    Raises:
        ModelError: not readable, or not a .safetensors file.
    """
    with _opened(file) as stored:
        tensors = {name: stored.get_tensor(name).to(torch.float32) for name in stored.keys()}
        return StoredWeights(tensors, dict(stored.metadata() or {}))


def metadata_of(file: Path | Traversable) -> dict[str, str]:
    """What a file says of itself, without reading its tensors; empty if it says nothing.

    Raises:
        ModelError: not readable, or not a .safetensors file.
    """
    with _opened(file) as stored:
        return dict(stored.metadata() or {})


@contextmanager
def _opened(file: Path | Traversable) -> Iterator[Any]:
    """The file, open for reading; problems with it are ModelErrors."""
    try:
        with resources.as_file(file) as path:
            open_regular(path, ModelError).close()  # safe_open does not say why it cannot be read
            with safe_open(str(path), framework="pt", device="cpu") as stored:
                yield stored
    except SafetensorError as error:
        raise ModelError(f"{file} is not a .safetensors file: {error}") from None
    except OSError as error:
        raise ModelError(f"cannot read the weights {file}: {error.strerror or error}") from None


def stamp_of(file: Path | Traversable) -> tuple[str, int, int]:
    """Path, size in bytes and time of the last change in ns: of another stamp, it is to be read again.

    The last two are 0 where the file is missing, or inside an archive.
    """
    try:
        known = Path(str(file)).stat()
    except OSError:
        return str(file), 0, 0
    return str(file), known.st_size, known.st_mtime_ns


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """The same tensors and metadata give the same bytes; raises OutputError."""
    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
    write_bytes(path, with_metadata(content, metadata))


def with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """A .safetensors file with its metadata in a fixed order: the library's own varies from run to run."""
    length = int.from_bytes(content[:8], "little")
    header = {"__metadata__": metadata, **json.loads(content[8 : 8 + length])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def tensors_hash(network: nn.Module) -> str:
    """SHA-256 of a network's tensors with their names."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
