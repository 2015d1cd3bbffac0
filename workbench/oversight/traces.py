"""Which of some values are still in some file? A search over every byte: as it lies on disk, and unpacked (Parquet, Arrow, gz, zip, zstd, PDF).

Values are looked for in any case of letters, in UTF-8 and as JSON and HTML write them. One of fewer than six characters, or of digits alone, counts only
where no letter or digit stands beside it, since such bytes occur by chance; raw bytes of packed files are searched for the longer ones.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: Values of fewer characters are not looked for: they would be found everywhere.
SHORTEST = 4
_LONG, _SHORT, _CHUNK, _PART, _OVERLAP, _DEEP = 6, SHORTEST, 8 << 20, 1 << 20, 4096, 3
#: Small letters for large ones, of UTF-8 bytes as of Latin-1: on both sides alike.
_LOWER = bytes(ord(chr(n).lower()) for n in range(256))
#: What JSON and HTML write as it is.
_PLAIN = re.compile(r"[A-Za-z0-9 ._:,/+#@*()-]*")
_WORDS = frozenset(bytes([n]) for n in b"0123456789abcdefghijklmnopqrstuvwxyz")
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
Numbers = npt.NDArray[Any]
_NONE: Numbers = np.zeros(0, dtype=np.uint64)
_MOST = 1 << 30
_PACKED = {b"PAR1": "parquet", b"ARRO": "arrow", b"\x1f\x8b": "gz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zst", b"%PDF": "pdf"}
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\n?endstream", re.DOTALL)
_SHOWN = re.compile(rb"\[(?:[^\[\]()<>]|\((?:\\.|[^\\)])*\)|<[0-9A-Fa-f\s]*>)*\]\s*TJ|\((?:\\.|[^\\)])*\)\s*Tj|<[0-9A-Fa-f\s]*>\s*Tj", re.DOTALL)
_STRING = re.compile(rb"\(((?:\\.|[^\\)])*)\)|<([0-9A-Fa-f\s]*)>", re.DOTALL)
_RANGE = re.compile(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*(?:<([0-9A-Fa-f]+)>|\[([^\]]*)\])")
_PAIR = re.compile(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>")


class Search:
    """Looks for many values at once.

    The last bytes of each value (six, of short ones four) are a number; every place of the data whose bytes make one of these numbers is a candidate, and is
    compared whole: one pass over the data, however many values.

    Args:
        values: what is looked for; shorter ones than SHORTEST are left out (``skipped`` says how many).
    """

    def __init__(self, values: Collection[str]) -> None:
        wanted = {v for v in values if len(v) >= SHORTEST}
        self.skipped = len(set(values)) - len(wanted)
        self.values = len(wanted)
        self._of: dict[bytes, str] = {}
        for value in sorted(wanted):
            spelt: Collection[str] = (value,) if _PLAIN.fullmatch(value) else {
                value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value), html.escape(value, quote=False)}
            for form in spelt:
                self._of.setdefault(form.encode("utf-8", "surrogatepass").translate(_LOWER), value)
        self._tails = [_Tails(w, forms) for w in (_SHORT, _LONG) if (forms := [f for f in self._of if (len(f) < _LONG) == (w == _SHORT)])]

    def in_bytes(self, data: bytes, *, packed: bool = False) -> set[str]:
        """The values in some bytes; of packed ones only the longer values are looked for."""
        text = data.translate(_LOWER)
        found: set[str] = set()
        for tails in self._tails:
            if not (packed and tails.width == _SHORT):
                found.update(self._of[form] for form in tails.found(text) if not _apart(form) or not packed and _stands(form, text))
        return found

    def in_file(self, path: Path) -> tuple[set[str], int]:
        """The values in a file, as it lies and unpacked, and the bytes that were looked at; nothing of a file that is gone."""
        found: set[str] = set()
        looked = 0
        try:
            for data, packed in _pieces(path):
                looked += len(data)
                found |= self.in_bytes(data, packed=packed)
        except FileNotFoundError:
            return set(), 0
        return found, looked


class _Tails:
    """Values of one kind of length by their last bytes."""

    def __init__(self, width: int, forms: Sequence[bytes]) -> None:
        self.width = width
        self._forms: dict[int, dict[int, set[bytes]]] = {}
        for form in forms:
            self._forms.setdefault(int.from_bytes(form[-width:], "little"), {}).setdefault(len(form), set()).add(form)
        self._codes = np.sort(np.fromiter(self._forms, dtype=np.uint64, count=len(self._forms)))
        self._shift = np.uint64(64 - min(26, max(10, len(self._codes).bit_length() + 5)))
        self._some = np.zeros(1 << (64 - int(self._shift)), dtype=bool)
        self._some[(self._codes * _SPREAD) >> self._shift] = True

    def found(self, text: bytes) -> set[bytes]:
        """The values that occur in some bytes, wherever they stand."""
        out: set[bytes] = set()
        for start in range(0, max(0, len(text) - self.width + 1), _PART):
            piece = text[start: start + _PART + self.width - 1]
            for offset in range(4):
                ends, codes = self._candidates(piece, offset)
                for code, end in zip(codes.tolist(), ends.tolist(), strict=True):
                    for length, forms in self._forms[code].items():
                        here = start + end - length
                        if here >= 0 and (form := text[here: start + end]) in forms:
                            out.add(form)
        return out

    def _candidates(self, piece: bytes, offset: int) -> tuple[Numbers, Numbers]:
        """Where a value may end (counted from the piece's beginning), and its last bytes as a number; of every fourth place from ``offset`` on."""
        count = (len(piece) - offset - self.width) // 4 + 1
        if count <= 0:
            return _NONE, _NONE
        codes = np.frombuffer(piece, dtype="<u4", count=count, offset=offset).astype(np.uint64)
        if self.width == _LONG:
            behind = np.frombuffer(piece, dtype=np.uint8, offset=offset + 4)
            codes |= behind[: 4 * count - 3: 4].astype(np.uint64) << np.uint64(32) | behind[1: 4 * count - 2: 4].astype(np.uint64) << np.uint64(40)
        maybe = np.flatnonzero(self._some[(codes * _SPREAD) >> self._shift])
        codes = codes[maybe]
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        sure = self._codes[at] == codes
        return 4 * maybe[sure] + offset + self.width, codes[sure]


def _apart(form: bytes) -> bool:
    """Whether a value only counts where it stands by itself."""
    return len(form) < _LONG or form.isdigit()


def _stands(form: bytes, text: bytes) -> bool:
    """Whether a value stands somewhere with no letter or digit beside it."""
    at = text.find(form)
    while at >= 0:
        if text[max(0, at - 1): at] not in _WORDS and text[at + len(form): at + len(form) + 1] not in _WORDS:
            return True
        at = text.find(form, at + 1)
    return False


def _pieces(path: Path) -> Iterator[tuple[bytes, bool]]:
    with path.open("rb") as stream:
        kind = _kind(stream.read(8))
        stream.seek(0)
        before = b""
        while data := stream.read(_CHUNK):
            yield before + data, bool(kind)
            before = data[-_OVERLAP:]
    if kind in ("parquet", "arrow"):
        yield from ((data, False) for data in (_parquet(path) if kind == "parquet" else _arrow(path)))
    elif kind:
        yield from ((data, False) for data in _unpacked(path.read_bytes(), kind, _DEEP))


def _kind(head: bytes) -> str:
    return next((kind for sign, kind in _PACKED.items() if head.startswith(sign)), "")


def _parquet(path: Path) -> Iterator[bytes]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=65_536):
            yield from _texts(batch)
    except (OSError, ValueError):
        return  # cut short, so that no reader can open it; its bytes were searched


def _arrow(path: Path) -> Iterator[bytes]:
    import pyarrow as pa
    from pyarrow import ipc

    try:
        reader = ipc.open_file(pa.memory_map(str(path)))
        for number in range(reader.num_record_batches):
            yield from _texts(reader.get_batch(number))
    except (OSError, ValueError):
        return


def _texts(batch: Any) -> Iterator[bytes]:
    import pyarrow as pa

    for column in batch.columns:
        values = column
        while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            values = values.flatten()
        if pa.types.is_dictionary(values.type):
            values = values.dictionary
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
            yield "\n".join(v for v in values.unique().to_pylist() if v is not None).encode("utf-8", "surrogatepass")


def _unpacked(data: bytes, kind: str, deep: int) -> Iterator[bytes]:
    """What a packed piece holds, and what that holds. A piece that cannot be unpacked gives nothing: no reader can, either."""
    try:
        inner = list(_inside(data, kind))
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, RuntimeError):
        return
    for piece in inner:
        yield piece
        further = _kind(piece[:8])
        if further and further not in ("parquet", "arrow") and deep:
            yield from _unpacked(piece, further, deep - 1)


def _inside(data: bytes, kind: str) -> Iterator[bytes]:
    if kind == "gz":
        with gzip.open(io.BytesIO(data)) as stream:
            yield stream.read(_MOST)
    elif kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                yield member.filename.encode()
                with archive.open(member) as stream:
                    yield stream.read(_MOST)
    elif kind == "zst":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as stream:
            yield stream.read(_MOST)
    else:
        yield from _pdf(data)


def _pdf(data: bytes) -> Iterator[bytes]:
    """A PDF's streams, and the text they show: glyph numbers are turned into letters by every table of letters (ToUnicode) of the file."""
    streams = []
    for found in _STREAM.finditer(data):
        body = found[1]
        try:
            body = zlib.decompressobj().decompress(body, _MOST)
        except zlib.error:
            body = found[1]
        streams.append(body)
        yield body
    maps = [made for body in streams if b"beginbfchar" in body or b"beginbfrange" in body for made in [_letters(body)] if made]
    for body in streams:
        shown = [b"".join(_string(s) for s in _STRING.finditer(run[0])) for run in _SHOWN.finditer(body)] if b"T" in body else []
        if shown:
            yield b"".join(shown)
        for width, letters in maps if shown else ():
            text = ("".join(letters.get(int.from_bytes(run[i: i + width], "big"), "") for i in range(0, len(run), width)) for run in shown)
            yield "".join(text).encode("utf-8", "ignore")
            text = ("".join(letters.get(int.from_bytes(run[i: i + width], "big"), "") for i in range(0, len(run), width)) for run in shown)
            yield " ".join(text).encode("utf-8", "ignore")


def _string(found: re.Match[bytes]) -> bytes:
    if found[2] is not None:
        digits = re.sub(rb"\s", b"", found[2])
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
    plain = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
    return re.sub(rb"\\([0-7]{1,3}|.)", lambda m: bytes([int(m[1], 8) & 255]) if m[1][:1].isdigit() and m[1].isdigit() else plain.get(m[1], m[1]),
                  found[1], flags=re.DOTALL)


def _letters(body: bytes) -> tuple[int, dict[int, str]]:
    """How many bytes a glyph number has, and number -> letters."""
    found: dict[int, str] = {}
    width = 1
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", body, re.DOTALL):
        for code, to in _PAIR.findall(block):
            width = max(width, len(code) // 2)
            found[int(code, 16)] = _utf16(to)
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", body, re.DOTALL):
        for low, high, to, several in _RANGE.findall(block):
            width = max(width, len(low) // 2)
            listed = re.findall(rb"<([0-9A-Fa-f]+)>", several)
            for n, code in enumerate(range(int(low, 16), min(int(high, 16), int(low, 16) + 65_535) + 1)):
                first = _utf16(listed[n] if n < len(listed) else to) if listed or to else ""
                found[code] = first if listed or not first else first[:-1] + chr(min(ord(first[-1]) + n, 0x10FFFF))
    return width, found


def _utf16(digits: bytes) -> str:
    return bytes.fromhex(digits.decode()).decode("utf-16-be", "ignore") if len(digits) % 2 == 0 else ""
