"""Does this reason mean something? A reason that would fit any search says nothing to whoever reviews it.

Refused are reasons that are empty, too short, only filler ("test", "police business", "n/a"), only the case number or the purpose once more, runs
along the keyboard, or one word over and over. Whether a reason is *true* nobody can tell from its words; that is what the review is for.
"""

from __future__ import annotations

import re
import unicodedata

from workbench.errors import AccessRefused

EXAMPLE = "who was near the scenes on the evenings of the burglaries"
_ROWS = ("qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "qsdfghjklm", "zxcvbnm", "yxcvbnm", "wxcvbn", "1234567890", "abcdefghijklmnopqrstuvwxyz")
#: Words that carry no content by themselves, English and Spanish, without accents.
_LITTLE_WORDS = (
    "a an and any are as at be been by can could did do does for from had has have he her him his how i if in into is it its me my need needed needs no not of "
    "on or our out please she so some that the their them then there they this to up us want wanted was we were what when where which who whom whose why "
    "will with would you your al con de del donde e el ella en era es esta este la las lo los mi no o para pero por que quien quiero se si sin su sus un una "
    "unas unos y yo")
#: Words that would fit any search at all.
_FILLER_WORDS = (
    "aa aaa abc access active admin agency all anything assigned assignment asdf bla blah blank business case cases check checked checking checks cop crime "
    "criminal data demo department detective do duty enforcement everything file fine foo bar general good inquiry enquiry info information investigate "
    "investigated investigating investigation investigations investigative because job just know law lawful legal legitimate lol look looked looking lookup "
    "miscellaneous misc na nil none nothing number official officer ok okay other per personal police policing private proper purpose purposes query question "
    "random reason reasons record records regular request requested required research review routine rtcc run running search searched searches searching see "
    "something stuff system task tbd test tested tester testing tests thing things todo unknown use usual valid various whatever work working x xx xxx xyz "
    "asunto busqueda buscar caso casos consulta datos delito informacion investigacion investigar motivo nada oficial policia policial porque prueba pruebas "
    "razon revisar rutina servicio tarea trabajo ver")
_LITTLE, _FILLER = frozenset(_LITTLE_WORDS.split()), frozenset(_FILLER_WORDS.split())


def check(reason: str | None, *, case: str | None = None, purpose: str | None = None) -> str:
    """The reason, trimmed, when it means something.

    Args:
        reason: as given.
        case, purpose: what it is given for; repeating them is no reason.

    Raises:
        AccessRefused: it says nothing; the sentence says what is lacking and shows a reason that would do.
    """
    text = " ".join((reason or "").split())
    problem = _problem(text, case or "", purpose or "")
    if problem:
        raise AccessRefused(f"{problem} Say in a few words what is to be learnt, e.g. reason={EXAMPLE!r}.")
    return text


def vague(reason: str | None, *, case: str | None = None, purpose: str | None = None) -> bool:
    """Whether a reason says nothing."""
    return bool(_problem(" ".join((reason or "").split()), case or "", purpose or ""))


def _problem(text: str, case: str, purpose: str) -> str:
    """What is wrong with a reason, as a sentence; "" = nothing."""
    if not text:
        return "A reason is needed."
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    words = _words(text)
    if len(text) < 8 or len(words) < 2:
        return f"The reason {shown} is too short."
    if len(set(words)) == 1:
        return f"The reason {shown} is one word over and over."
    said = set(_words(case)) | set(_words(purpose))
    left = [w for w in words if w not in said]
    if not [w for w in left if w not in _LITTLE]:
        return f"The reason {shown} only repeats the case number or the purpose."
    content = {w for w in left if w not in _LITTLE and w not in _FILLER}
    if not content:
        return f"The reason {shown} would fit any search at all."
    if not [w for w in content if not _gibberish(w)]:
        return f"The reason {shown} is no words that can be read."
    return ""


def _words(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", plain.replace("'", "").replace("’", ""))


def _gibberish(word: str) -> bool:
    """A run along the keyboard, one letter repeated, digits alone, or letters that make no syllable."""
    if word.isdigit() or len(set(word)) == 1 or len(word) == 1:
        return True
    if len(word) >= 4 and any(word in row or word in row[::-1] for row in _ROWS):
        return True
    for size in (2, 3, 4):  # asdasd, ababab, qweqwe
        if len(word) >= 2 * size and len(word) % size == 0 and word == word[:size] * (len(word) // size):
            return True
    return word.isascii() and word.isalpha() and len(word) >= 4 and not re.search("[aeiouy]", word)
