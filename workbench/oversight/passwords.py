"""What a password must be, and how it is kept: after NIST SP 800-63B, length and no common words; no rule about kinds of characters.

Kept is an argon2id hash (RFC 9106) and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from workbench.errors import BadInput

#: Bytes beyond which a password is not looked at: hashing without a limit would be a way to stall the server.
LONGEST = 1024
_WORDS = """
    password passwort passw0rd passcode welcome letmein login access admin administrator master secret changeme default guest test user root hello
    qwerty qwertyuiop asdfgh asdfghjkl zxcvbnm azerty iloveyou monkey dragon sunshine princess football baseball basketball superman batman shadow
    michael jordan jennifer ashley daniel jessica charlie thomas hunter ranger buster soccer hockey killer george computer internet whatever trustno
    freedom liberty america patriot eagle harley mustang corvette yankees cowboys steelers lakers starwars pokemon summer winter spring autumn fall
    january february march april june july august september october november december monday tuesday wednesday thursday friday saturday sunday
    police policeman sheriff deputy officer detective sergeant lieutenant captain chief commander trooper marshal patrol dispatch dispatcher analyst
    supervisor auditor department agency precinct district squad badge handcuffs justice blueline protect serve city county state rtcc rtic crime
    investigation intelligence evidence workbench jupyter temporary temp company love baby angel qazwsx abcdef
"""
#: Words that most guessed passwords are made of, and those of this trade.
COMMON = frozenset(re.findall(r"\w+", _WORDS))
_LEET = str.maketrans("013457@$!", "oieastasi")


def normal(password: str) -> str:
    """The password as it is hashed: Unicode NFKC, so that the same letters typed on another keyboard are the same password."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, *, least: int, own: Iterable[str] = ()) -> str:
    """The password in normal form, if it may be used.

    Args:
        least: characters it needs at least.
        own: words it must not be made of besides the common ones: the user's name, the agency's.

    Raises:
        BadInput: too short, too long, or nearly all of it is common words, years or keyboard rows. The message never holds the password.
    """
    password = normal(password)
    if len(password) < least:
        raise BadInput(f"The password is too short: at least {least} characters, such as four or five words that do not belong together.")
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        raise BadInput(f"The password is too long; up to {LONGEST} bytes are taken.")
    if _what_is_left(password, own) < 6 or len(set(password.casefold())) < 5:
        raise BadInput("The password is too easy to guess: it is made of common words, names, years or keys that lie in a row. "
                       "Take four or five words that do not belong together.")
    return password


def _what_is_left(password: str, own: Iterable[str]) -> int:
    """How many characters are left once everything easily guessed is taken out of it."""
    words = COMMON | {w for text in own for w in re.findall(r"\w{4,}", text.casefold())}
    best = len(password)
    plain = re.sub(r"(19|20)\d\d", "", password.casefold())
    for text in {plain, plain.translate(_LEET)}:
        text = re.sub(r"[\W_]", "", text)
        for word in sorted(words, key=len, reverse=True):
            text = text.replace(word, "")
        best = min(best, len(_shortened(text)))
    return best


def _shortened(text: str) -> str:
    """A text without runs (aaaa, 1234, 9876) and with what is said again and again said once."""
    steps = [-1 if a + b == "09" else 1 if a + b == "90" else ord(b) - ord(a) for a, b in zip(text, text[1:], strict=False)]
    out = "".join(c for i, c in enumerate(text) if i < 2 or steps[i - 1] != steps[i - 2] or abs(steps[i - 1]) > 1)
    for size in range(1, len(out) // 2 + 1):
        if out == (out[:size] * (len(out) // size + 1))[:len(out)]:
            return out[:size]
    return out


def matches(hasher: PasswordHasher, kept: str, password: str) -> bool:
    """Whether a password fits a hash. Takes the same time whether it does or not; a hash that cannot be read fits nothing."""
    if len(password.encode("utf-8", "surrogatepass")) > LONGEST:
        password = ""
    try:
        return hasher.verify(kept, normal(password).encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


def hashed(hasher: PasswordHasher, password: str) -> str:
    """The argon2id hash of a password in normal form."""
    return hasher.hash(password.encode("utf-8", "surrogatepass"))
