"""A file's bytes as lines of text: what they are written in, and blocks of whole lines out of them, in bounded memory.

Whatever is not UTF-8 becomes UTF-8 as it is read, UTF-16 (told by its byte order mark) too; a UTF-8 mark, also one that was saved
twice, is taken off. Where a source leaves its encoding open, the whole file is looked at once: it is UTF-8 if all of it can be read so,
else Windows-1252. The five bytes that Windows-1252 does not have (81, 8D, 8F, 90, 9D) are no text: a record with one is rejected, as any
with bytes that are not of its encoding.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import BadInput

#: Bytes of a block: as many as a processor holds close by.
BLOCK = 1 << 21
#: No line of records is longer than this.
LONGEST = 1 << 26
WINDOWS = "cp1252"
_BOMS = (b"\xc3\xaf\xc2\xbb\xc2\xbf", b"\xef\xbb\xbf")
_WIDE = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


class Stream(Protocol):
    """What is read from: a file's unpacked bytes."""

    @property
    def share(self) -> float:
        """How much has been read, 0 to 1."""

    def read(self, size: int = -1) -> bytes:
        """Up to that many bytes; fewer only at the end."""


def told_encoding(file: Path, suffixes: Iterable[str] = ()) -> str:
    """"utf-8" if the whole file is that (or UTF-16 with its mark, which is read as UTF-8), else Windows-1252. One pass over the file."""
    from workbench.lake.forms import opened

    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(file, suffixes) as stream:
        block = stream.read(BLOCK)
        if block[:2] in _WIDE:
            return "utf-8"
        waiting = False
        try:
            while block:
                if waiting or not block.isascii():
                    decoder.decode(block)
                    waiting = bool(decoder.getstate()[0])
                block = stream.read(BLOCK)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            return WINDOWS
    return "utf-8"


def digest(file: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits. O(bytes), constant memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Blocks:
    """Blocks of whole lines of a byte stream, each ending in ``end``: a line feed, or a carriage return where the file begins without line feeds.

    The last line gets an end where it has none. A block is about ``BLOCK`` bytes, or one line that is longer.
    """

    def __init__(self, stream: Stream, file: str, encoding: str = "utf-8") -> None:
        self._stream, self._file, self.encoding = stream, file, encoding
        self._decoder: Any = None
        self._ascii = False
        self.over = False
        first = stream.read(BLOCK)
        if first[:2] in _WIDE:
            self.encoding, first = _WIDE[first[:2]], first[2:]
            self._decoder = codecs.getincrementaldecoder(self.encoding)("surrogatepass")
        else:
            first = first[next((len(b) for b in _BOMS if first.startswith(b)), 0):]
            if codecs.lookup(encoding).name != "utf-8":
                self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
                self._ascii = bytes(range(128)).decode(encoding, "replace") == bytes(range(128)).decode()
        self._held = self._narrow(first)
        self.end = b"\r" if b"\n" not in self._held and b"\r" in self._held else b"\n"
        if not self._held:
            raise BadInput(f"{file} is empty; nothing was loaded.")

    def take(self) -> bytes:
        """The next block; no bytes at the end of the file.

        Raises:
            BadInput: a line is longer than ``LONGEST``.
        """
        target = max(BLOCK, len(self._held) + BLOCK // 2)
        parts, size = [self._held], len(self._held)
        whole = False
        while not self.over and (size < target or not whole):
            fresh = self._read(max(target - size, BLOCK // 2))
            parts.append(fresh)
            size += len(fresh)
            whole = whole or self.end in fresh
            if size > target + LONGEST:
                raise BadInput(f"{self._file} has a line of more than {LONGEST >> 20} MB, so it is no text of records; nothing was loaded.")
        block = b"".join(parts)
        if self.over:
            self._held = b""
            return block if not block or block.endswith(self.end) else block + self.end
        cut = block.rindex(self.end) + 1
        self._held = block[cut:]
        return block[:cut]

    def back(self, tail: bytes) -> None:
        """Give back the last lines of a block, to have them at the beginning of the next."""
        self._held = tail + self._held

    def _read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self.over = not block
        return self._narrow(block)

    def _narrow(self, block: bytes) -> bytes:
        """Bytes of the file's encoding as UTF-8; those that are none become bytes that are none either."""
        if self._decoder is None or (self._ascii and block.isascii() and not self._decoder.getstate()[0]):
            return block
        try:
            text: str = self._decoder.decode(block, not block)
        except UnicodeDecodeError:
            return b"\xff"
        return text.encode("utf-8", self._decoder.errors)
