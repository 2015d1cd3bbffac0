"""The bytes inside a file, packed or plain: gzip, zip and Zstandard are taken apart as they are read.

What a file is told by its first bytes, so that a packed file with the wrong name is still read. A zip archive must hold one file of data; a
read-me or a data dictionary beside it does no harm as long as only one of its files has the suffix of a form that is known. A packed
file that swells to more than 200 times its size and 256 MB is refused, since no export does that.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from workbench.errors import BadInput
from workbench.loaders import FORMATS

#: A packed file may swell to this many times its size, or to this many bytes, whichever is more.
SWELL_TIMES, SWELL_BYTES = 200, 256 << 20
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
#: Containers that are zip archives themselves and are not to be taken apart here.
_ARCHIVES = (".xlsx", ".xlsm", ".xlsb", ".ods")
_DAMAGED = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, OSError)


class Unpacked(io.RawIOBase):
    """A stream of a file's unpacked bytes; every damage is a ``BadInput``. Close it, or use it in a ``with``.

    Args:
        file: the file.
        suffixes: those of the data file sought in a zip archive; empty = those of every form.
    """

    def __init__(self, file: Path, suffixes: Iterable[str] = ()) -> None:
        super().__init__()
        self._file, self._suffixes = file, tuple(suffixes)
        self._size = max(file.stat().st_size, 1)
        self._limit = max(SWELL_BYTES, SWELL_TIMES * self._size)
        self._given, self._whole = 0, 0
        self._packed: IO[bytes] = file.open("rb")
        self._archive: zipfile.ZipFile | None = None
        try:
            self._stream = self._inside()
        except BaseException:
            self._packed.close()
            raise

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._given / self._whole if self._whole else self._packed.tell() / self._size)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes (-1 = all that are left), fewer only at the end.

        Raises:
            BadInput: the file is cut off or damaged, or swells beyond all measure.
        """
        blocks, wanted = [], size
        while wanted:
            block = self._block(1 << 20 if wanted < 0 else min(wanted, 1 << 23))
            if not block:
                break
            blocks.append(block)
            wanted -= len(block) if wanted > 0 else 0
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _block(self, size: int) -> bytes:
        try:
            block = self._stream.read(size)
        except _DAMAGED as error:
            raise self._damaged(error) from error
        except RuntimeError as error:
            raise BadInput(f"{self._file.name} cannot be unpacked ({error}); nothing was loaded.") from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise self._damaged(error) from error
        self._given += len(block)
        if self._stream is not self._packed and self._given > self._limit:
            raise BadInput(f"{self._file.name} swells to more than {self._limit / 1e6:,.0f} MB when it is unpacked; nothing was loaded. "
                           "If it is right, unpack it yourself and load what was in it.")
        return block

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            if self._archive is not None:
                self._archive.close()
            self._packed.close()
        super().close()

    def _damaged(self, error: Exception) -> BadInput:
        return BadInput(f"{self._file.name} is cut off or damaged ({error}); nothing was loaded. Fetch it again.")

    def _inside(self) -> Any:
        head, name = self._packed.read(4), self._file.name.lower()
        self._packed.seek(0)
        if head.startswith(_GZIP) or name.endswith(".gz"):
            return gzip.GzipFile(fileobj=self._packed)
        if head == _ZSTD or name.endswith(".zst"):
            import zstandard

            return _Frames(self._packed, zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj)
        if (head == _ZIP or name.endswith(".zip")) and not name.endswith(_ARCHIVES):
            return self._member()
        return self._packed

    def _member(self) -> Any:
        try:
            self._archive = zipfile.ZipFile(self._packed)
            member = self._only(self._archive)
            self._whole = member.file_size
            return self._archive.open(member)
        except BadInput:
            raise
        except (*_DAMAGED, ValueError) as error:
            raise self._damaged(error) from error
        except RuntimeError as error:
            why = "is protected with a password" if "encrypted" in str(error) else f"is packed in a way that is not known here ({error})"
            raise BadInput(f"{self._file.name} {why}; unpack it and load what is in it.") from error

    def _only(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        """The one file of data in an archive."""
        held = [m for m in archive.infolist() if not m.is_dir() and not _by_the_way(m.filename)]
        if len(held) == 1:
            return held[0]
        known = self._suffixes or tuple(s for suffixes in FORMATS.values() for s in suffixes)
        data = [m for m in held if m.filename.lower().endswith(known) and not _about(m.filename)]
        if len(data) == 1:
            return data[0]
        shown = ", ".join(m.filename for m in held[:6]) + (f" and {len(held) - 6} more" if len(held) > 6 else "")
        raise BadInput(f"{self._file.name} holds {len(held)} files{f' ({shown})' if held else ''}; unpack it and load the right one.")


class _Frames:
    """The frames of a Zstandard stream, one behind the other; an end inside one is a damage, which the library's own reader does not notice."""

    #: Bytes unpacked at a time; in the worst case they swell 32,768 times.
    STEP = 1 << 12

    def __init__(self, packed: IO[bytes], begin: Callable[[], Any]) -> None:
        self._packed, self._begin = packed, begin
        self._frame: Any = None
        self._ready, self._waiting = bytearray(), b""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, none at the end."""
        while len(self._ready) < size:
            step = self._waiting or self._packed.read(self.STEP)
            self._waiting = b""
            if not step:
                if self._frame is not None:
                    raise EOFError("it ends within a frame")
                break
            self._frame = self._frame or self._begin()
            self._ready += self._frame.decompress(step)
            if self._frame.eof:
                self._waiting, self._frame = self._frame.unused_data, None
        block = bytes(self._ready[:size])
        del self._ready[:size]
        return block


def opened(file: Path, suffixes: Iterable[str] = ()) -> Unpacked:
    """A file's bytes, unpacked where it is packed (.gz, .zip, .zst), as a stream.

    Args:
        file: the file.
        suffixes: those of the data file sought in a zip archive of several, e.g. (".csv",); empty = those of every form.

    Raises:
        BadInput: it is damaged, protected, or an archive of no or several data files.
    """
    return Unpacked(file, suffixes)


def _by_the_way(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith(".") or path.name.lower() in ("thumbs.db", "desktop.ini")


def _about(name: str) -> bool:
    stem = PurePosixPath(name).name.lower()
    return stem.startswith(("readme", "read_me", "read me", "licen", "metadata", "dictionary", "data_dictionary"))
