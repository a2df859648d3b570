"""Whether a file is what its name says: what is called JSON is JSON, so no pickle hides behind another name."""

from __future__ import annotations

import json

JSON = (".json", ".ipynb")
# First and last bytes of what is not text.
BINARY = {".png": (b"\x89PNG\r\n\x1a\n", b""), ".parquet": (b"PAR1", b"PAR1")}
TENSORS = ".safetensors"
INSTEAD = "models are kept as safetensors, Parquet or JSON"


def bad_content(path: str, content: bytes) -> str:
    """Say why a file is not of the kind that its name says, or nothing."""
    kind = path[path.rfind(".") :]
    if kind in BINARY:
        first, last = BINARY[kind]
        sound = content.startswith(first) and content.endswith(last) and len(content) > len(first + last)
    elif kind == TENSORS:
        sound = _is_tensors(content)
    elif kind in JSON:
        sound = _is_json(content)
    else:
        sound = _is_text(content)
    return "" if sound else f"is not what its name says ({kind[1:]}); {INSTEAD}"


def _is_tensors(content: bytes) -> bool:
    """Eight bytes of length, then a JSON header of that length: https://github.com/huggingface/safetensors#format."""
    size = int.from_bytes(content[:8], "little")
    return 2 <= size <= len(content) - 8 and content[8:9] == b"{" and _is_json(content[8 : 8 + size])


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
