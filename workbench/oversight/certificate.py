"""The paper that says what was deleted: JSON for machines and text for people, with a SHA-256 and an Ed25519 signature of the workspace's key.

It names no value that was purged. ``root`` is the root of a Merkle tree over salted hashes of the ids: who has the list of ids can prove that it was
this one, and nobody can tell from it what was purged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from workbench.errors import BadInput, NotFound, did_you_mean

FOLDER, KEYS = "certificates", "keys"
_KEY = "retention.pem"


@dataclass(frozen=True)
class Certificate:
    """A certificate: its id, what it says, the SHA-256 of that in canonical JSON, the signature and the public key, both in hex."""

    certificate_id: str
    body: dict[str, Any]
    sha256: str
    signature: str
    public_key: str

    @property
    def rows(self) -> dict[str, int]:
        """Table -> rows that were purged, every edition."""
        return {t: int(about["rows"]) for t, about in self.body["tables"].items()}

    def sentence(self) -> str:
        """One line for people."""
        found = self.body["verification"]
        rows = ", ".join(f"{n:,} of {t}" for t, n in self.rows.items()) or "none"
        return (f"Certificate {self.certificate_id}: rows purged: {rows}; {len(self.body['outputs'])} files deleted or cleared; of {found['values']:,} values "
                f"looked for in {found['bytes']:,} bytes, {found['found']:,} were found.")

    def text(self) -> str:
        """The certificate for people."""
        body, check = self.body, self.body["verification"]
        lines = [f"Certificate {self.certificate_id}", f"{body['kind']} of {body['at']} by {body['user']}: {body['reason']}", "", "Limits"]
        lines += [f"  {p}" for p in body["policy"]] or ["  none"]
        lines += ["", "Rows purged (every edition)"]
        lines += [f"  {t}: {a['rows']:,} rows, {a['earliest']} to {a['latest']}; {a['files_rewritten']} files written again, {a['files_deleted']} deleted; "
                  f"versions before {a['version']} that had them cannot be read any more" for t, a in body["tables"].items()] or ["  none"]
        lines += [f"  root of the salted hashes of their ids: {body['root']} (salt {body['salt']})", "", "Files deleted or cleared"]
        lines += [f"  {o['file']}: {o['done']}" for o in body["outputs"]] or ["  none"]
        lines += ["", "Casebook and audit"] + ([f"  {line}" for line in body["work"]] or ["  nothing"])
        lines += ["", "Holds respected"] + ([f"  hold {h['hold_id']} ({h['matter']}): {h['rows']:,} rows of {h['table']}" for h in body["holds"]] or ["  none"])
        lines += ["", f"Search afterwards: {check['values']:,} values in {check['files']:,} files, {check['bytes']:,} bytes: {check['found']:,} found. "
                  f"{check['otherwise_held']:,} values are held in other rows, {check['too_short']:,} were too short to look for."]
        lines += [f"  found in {f}" for f in check["where"]]
        return "\n".join([*lines, "", f"sha256 {self.sha256}", f"signature {self.signature}", f"public key {self.public_key}", ""])


def write(path: Path, certificate_id: str, body: dict[str, Any]) -> Certificate:
    """Sign and keep a certificate: ``certificates/<id>.json`` and ``.txt``; the JSON last, since it is what counts."""
    key = signing_key(path)
    data = _canonical(body)
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
    made = Certificate(certificate_id, body, hashlib.sha256(data).hexdigest(), key.sign(data).hex(), public)
    home = path / FOLDER
    home.mkdir(exist_ok=True)
    put(home / f"{certificate_id}.txt", made.text())
    said = {"certificate_id": certificate_id, "body": body, "sha256": made.sha256, "signature": made.signature, "public_key": public}
    put(home / f"{certificate_id}.json", json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True))
    return made


def read(path: Path, certificate_id: str) -> Certificate:
    """A certificate of a workspace, or the one in a file.

    Raises:
        NotFound: there is none of that name. BadInput: the file is no certificate.
    """
    file = Path(certificate_id) if certificate_id.endswith(".json") else path / FOLDER / f"{certificate_id}.json"
    if not file.is_file():
        known = [f.stem for f in (path / FOLDER).glob("*.json")]
        raise NotFound(f"There is no certificate {certificate_id!r}.{did_you_mean(certificate_id, known)}")
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return Certificate(str(said["certificate_id"]), dict(said["body"]), str(said["sha256"]), str(said["signature"]), str(said["public_key"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file.name} is no certificate ({error}).") from None


def verify(path: Path, certificate_id: str) -> tuple[bool, str]:
    """Whether a certificate is as it was signed, by this workspace's key: (True, sentence) or (False, sentence).

    Raises:
        NotFound: there is none of that name. BadInput: the file is no certificate.
    """
    found = read(path, certificate_id)
    data = _canonical(found.body)
    if found.body.get("certificate_id") != found.certificate_id or hashlib.sha256(data).hexdigest() != found.sha256:
        return False, f"Certificate {found.certificate_id} was changed after it was signed: its text does not have the SHA-256 that it names."
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key)).verify(bytes.fromhex(found.signature), data)
    except (InvalidSignature, ValueError):
        return False, f"The signature of certificate {found.certificate_id} does not fit its text and key."
    file = path / KEYS / _KEY
    own = signing_key(path).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex() if file.exists() else ""
    if own != found.public_key:
        return False, f"Certificate {found.certificate_id} is signed with another key than this workspace's."
    return True, f"Certificate {found.certificate_id} is as it was signed on {found.body['at'][:16].replace('T', ' ')} UTC by this workspace's key."


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The workspace's Ed25519 key for certificates, ``keys/retention.pem``, made on first use and readable by its owner only."""
    file = path / KEYS / _KEY
    if not file.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        made = Ed25519PrivateKey.generate()
        data = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        part = file.with_name(f"{_KEY}.{os.getpid()}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(part, file)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{file} is no Ed25519 key.")
    return key


def merkle(salt: bytes, ids: Iterable[str]) -> str:
    """The root over the salted hashes of some ids, in order of the hashes; an odd one goes up as it is. O(n log n)."""
    level = sorted(hashlib.sha256(salt + b"\0" + text.encode()).digest() for text in ids)
    if not level:
        return ""
    while len(level) > 1:
        level = [hashlib.sha256(b"\1" + b"".join(level[n: n + 2])).digest() if n + 1 < len(level) else level[n] for n in range(0, len(level), 2)]
    return level[0].hex()


def put(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, file)


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
