"""Weights of a network as a .safetensors file, and what such a file says of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save
from torch import Tensor, nn

from crowd3d.errors import ModelError
from crowd3d.files.atomic import write_bytes

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_MOST_HEADER_BYTES = 100_000_000  # as the format's own reader


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


def metadata_of(file: Path | Traversable) -> dict[str, str]:
    """What a .safetensors file says of itself; empty if it says nothing.

    Raises:
        ModelError: not readable, or not such a file.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= _MOST_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        found = header.get("__metadata__", {})
        return {str(key): str(value) for key, value in found.items()}
    except OSError as error:
        raise ModelError(f"cannot read the weights {file}: {error.strerror}") from None
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{file} is not a .safetensors file: {error}") from None


def tensors_hash(network: nn.Module) -> str:
    """SHA-256 of a network's tensors with their names."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
