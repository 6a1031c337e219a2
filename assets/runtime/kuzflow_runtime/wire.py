"""How messages look on the wire: four bytes of length, little-endian, then so many bytes of one
JSON object in UTF-8. See PROTOCOL.md.

No input or output: what is cut, joined, too long or no message is decided here and tested without a
socket.
"""

from __future__ import annotations

import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # A message, or some fields of one: a JSON object.
    Message = dict[str, Any]

__all__ = ["PROTOCOL", "LONGEST", "WireError", "Decoder", "encode"]

PROTOCOL = 1
# Bytes of one message without its length.
LONGEST = 1 << 20

_LENGTH = struct.Struct("<I")


class WireError(Exception):
    """What came is not this protocol; nothing that follows on the connection can be understood."""


def encode(message: Message) -> bytes:
    """The bytes of a message, `protocol` added. Raises WireError if it is too long, ValueError or
    TypeError if it is no JSON."""
    data = json.dumps(dict(message, protocol=PROTOCOL), ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )
    if len(data) > LONGEST:
        raise WireError(f"a message of {len(data)} bytes is longer than {LONGEST}")
    return _LENGTH.pack(len(data)) + data


class Decoder:
    """Takes bytes as they come and gives messages. Holds no more than one message and what came
    with its end."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. Raises WireError; the decoder is of no use then."""
        self._held += data
        found: list[Message] = []
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > LONGEST:
                raise WireError(f"a message of {length} bytes is announced, {LONGEST} are allowed")
            end = _LENGTH.size + length
            if len(self._held) < end:
                break
            found.append(_message(bytes(self._held[_LENGTH.size : end])))
            del self._held[:end]
        return found


def _message(data: bytes) -> Message:
    try:
        message = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a message: {error}") from error
    if (
        not isinstance(message, dict)
        or not isinstance(message.get("type"), str)
        or type(message.get("id")) is not int
    ):
        raise WireError("a message without a type or an id")
    return message
