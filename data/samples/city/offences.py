"""The offences of Fairwater: local codes, how often, where and when, how found, and how officers word them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .plane import Floats


@dataclass(frozen=True)
class Offence:
    """One local code.

    Args:
        code: the agency's own four digits, leading zero kept.
        nibrs: the NIBRS code it stands for (not in the export; the loader maps it).
        count: about how many in two years.
        family: whose map of risk it follows (see ``incidents.risk``).
        clock: whose hours it keeps (see CLOCKS).
        found: "at once", "day" (out at work), "night" (parked overnight), "days" (away), "weeks" (paper).
        called: share that starts with a call; domestic: share that is domestic; arrest: share with an arrest.
    """

    code: str
    offence: str
    detail: str
    nibrs: str
    count: int
    family: str
    clock: str
    found: str = "at once"
    called: float = 0.55
    domestic: float = 0.0
    arrest: float = 0.1
    call_type: str = ""
    priority: str = "3"


OFFENCES = (
    Offence("0110", "HOMICIDE", "MURDER", "09A", 17, "violence", "night", called=1, domestic=0.2, arrest=0.6, call_type="SHOOTING OR STABBING", priority="1"),
    Offence("0211", "SEX OFFENSE", "RAPE", "11A", 95, "violence", "night", "weeks", 0.2, 0.2, 0.2, "SEX OFFENSE REPORT", "2"),
    Offence("0310", "ROBBERY", "STREET, FIREARM", "120", 210, "robbery", "night", called=0.95, arrest=0.15, call_type="ROBBERY", priority="1"),
    Offence("0320", "ROBBERY", "STREET, STRONG ARM", "120", 260, "robbery", "night", called=0.9, arrest=0.15, call_type="ROBBERY", priority="1"),
    Offence("0330", "ROBBERY", "BUSINESS", "120", 110, "shops", "evening", called=1, arrest=0.25, call_type="ROBBERY", priority="1"),
    Offence(
        "0410", "ASSAULT", "AGGRAVATED, FIREARM", "13A", 240, "violence", "night", called=0.9, domestic=0.1, arrest=0.3, call_type="SHOTS FIRED", priority="1"
    ),
    Offence(
        "0420",
        "ASSAULT",
        "AGGRAVATED, KNIFE OR OTHER",
        "13A",
        360,
        "violence",
        "night",
        called=0.9,
        domestic=0.4,
        arrest=0.45,
        call_type="FIGHT WITH WEAPON",
        priority="1",
    ),
    Offence("0510", "BURGLARY", "RESIDENCE, FORCED ENTRY", "220", 700, "homes", "daytime", "day", 0.75, 0.02, 0.07, "BURGLARY REPORT", "3"),
    Offence("0511", "BURGLARY", "RESIDENCE, NO FORCE", "220", 300, "homes", "daytime", "day", 0.7, 0.03, 0.07, "BURGLARY REPORT", "3"),
    Offence("0520", "BURGLARY", "BUSINESS", "220", 330, "shops", "small hours", "night", 0.8, 0, 0.1, "ALARM, BUSINESS", "2"),
    Offence("0610", "THEFT", "FROM VEHICLE", "23F", 1600, "vehicles", "overnight", "night", 0.35, 0, 0.03, "THEFT REPORT", "4"),
    Offence("0615", "THEFT", "VEHICLE PARTS", "23G", 640, "vehicles", "overnight", "night", 0.3, 0, 0.03, "THEFT REPORT", "4"),
    Offence("0620", "THEFT", "SHOPLIFTING", "23C", 1300, "shoplifting", "shopping", called=0.6, arrest=0.4, call_type="SHOPLIFTER HELD", priority="3"),
    Offence("0630", "THEFT", "FROM BUILDING", "23D", 620, "shops", "shopping", "day", 0.4, 0.02, 0.06, "THEFT REPORT", "4"),
    Offence("0640", "THEFT", "PACKAGE OR OTHER", "23H", 1150, "homes", "afternoon", "day", 0.35, 0.02, 0.04, "THEFT REPORT", "4"),
    Offence("0645", "THEFT", "PURSE OR POCKET", "23A", 130, "robbery", "evening", called=0.5, arrest=0.05, call_type="THEFT REPORT", priority="4"),
    Offence("0710", "VEHICLE THEFT", "AUTOMOBILE", "240", 1020, "vehicles", "overnight", "night", 0.7, 0.02, 0.08, "STOLEN VEHICLE", "3"),
    Offence("0810", "ASSAULT", "SIMPLE", "13B", 1850, "violence", "night", called=0.8, domestic=0.55, arrest=0.35, call_type="DISTURBANCE", priority="2"),
    Offence("0820", "THREATS", "INTIMIDATION", "13C", 620, "violence", "evening", called=0.5, domestic=0.4, arrest=0.12, call_type="HARASSMENT", priority="3"),
    Offence("0900", "ARSON", "ALL", "200", 55, "vehicles", "small hours", called=0.9, arrest=0.1, call_type="FIRE, SUSPICIOUS", priority="1"),
    Offence("1010", "FORGERY", "CHECK OR DOCUMENT", "250", 190, "shops", "shopping", "weeks", 0.1, 0, 0.1, "FRAUD REPORT", "4"),
    Offence("1110", "FRAUD", "FALSE PRETENSES", "26A", 560, "homes", "afternoon", "weeks", 0.15, 0.02, 0.03, "FRAUD REPORT", "4"),
    Offence("1120", "FRAUD", "IDENTITY THEFT", "26F", 330, "homes", "afternoon", "weeks", 0.1, 0.02, 0.02, "FRAUD REPORT", "4"),
    Offence("1310", "STOLEN PROPERTY", "POSSESSION", "280", 110, "shops", "evening", called=0.1, arrest=0.8, call_type="TRAFFIC STOP", priority="4"),
    Offence("1410", "VANDALISM", "PROPERTY DAMAGE", "290", 1380, "vandalism", "overnight", "night", 0.5, 0.12, 0.06, "DAMAGE REPORT", "4"),
    Offence("1510", "WEAPONS", "UNLAWFUL CARRYING", "520", 240, "violence", "night", called=0.3, arrest=0.85, call_type="PERSON WITH GUN", priority="1"),
    Offence("1810", "DRUGS", "POSSESSION", "35A", 900, "robbery", "evening", called=0.15, arrest=0.9, call_type="SUSPICIOUS PERSON", priority="3"),
    Offence("1820", "DRUGS", "EQUIPMENT", "35B", 170, "robbery", "evening", called=0.1, arrest=0.9, call_type="SUSPICIOUS PERSON", priority="3"),
    Offence(
        "2110",
        "DRIVING UNDER INFLUENCE",
        "ALCOHOL OR DRUG",
        "90D",
        480,
        "roads",
        "small hours",
        called=0.2,
        arrest=0.97,
        call_type="TRAFFIC HAZARD",
        priority="3",
    ),
    Offence("2410", "DISORDERLY CONDUCT", "ALL", "90C", 380, "robbery", "night", called=0.7, domestic=0.05, arrest=0.4, call_type="DISTURBANCE", priority="2"),
    Offence("2610", "TRESPASS", "ALL", "90J", 520, "shops", "evening", called=0.75, arrest=0.35, call_type="TRESPASSER", priority="3"),
    Offence(
        "2690",
        "OTHER OFFENSE",
        "ALL OTHER",
        "90Z",
        420,
        "violence",
        "afternoon",
        called=0.3,
        domestic=0.15,
        arrest=0.3,
        call_type="MISCELLANEOUS",
        priority="4",
    ),
)

#: Weight of each hour of the day.
CLOCKS = {
    "night": [7, 6.5, 5.5, 3, 1.6, 1, 1, 1.3, 1.8, 2, 2.4, 2.8, 3.2, 3.2, 3.5, 4, 4.5, 5, 5.6, 6.2, 7, 7.6, 8, 7.8],
    "evening": [3, 2, 1.6, 1, 0.6, 0.5, 0.7, 1.2, 2, 2.6, 3.2, 3.8, 4.2, 4.2, 4.6, 5.4, 6, 6.6, 6.8, 6.8, 6.4, 6, 5, 4],
    "daytime": [1.2, 1.1, 1.1, 0.9, 0.8, 0.7, 1, 2.4, 5, 7.5, 9, 9.2, 8.4, 8, 7.2, 5.6, 4.2, 3.2, 3, 3, 2.8, 2.4, 2, 1.6],
    "small hours": [7, 8, 9.5, 9, 6, 2.6, 1, 0.6, 0.5, 0.5, 0.5, 0.6, 0.7, 0.7, 0.7, 0.8, 0.9, 1.1, 1.6, 2, 2.6, 3.4, 4.6, 6],
    "overnight": [6, 6.5, 7, 6.4, 5, 3.2, 2, 1.8, 2, 2, 2.1, 2.3, 2.6, 2.6, 2.6, 2.8, 3, 3.4, 4, 4.4, 5, 5.6, 6, 6],
    "shopping": [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.6, 3.4, 5.4, 6.8, 7.6, 8, 8.4, 8.8, 9, 8.6, 7.6, 6, 4.4, 2.6, 1.2, 0.6],
    "afternoon": [2.2, 1, 0.7, 0.5, 0.4, 0.5, 0.9, 1.8, 3.4, 5, 6, 6.4, 7.2, 6.6, 6.6, 6.8, 6.6, 6.2, 5.6, 5, 4.2, 3.4, 2.8, 2.4],
}
#: Monday first.
WEEK = {
    "night": [0.85, 0.82, 0.85, 0.92, 1.15, 1.3, 1.15],
    "evening": [0.95, 0.95, 0.97, 1, 1.12, 1.1, 0.95],
    "daytime": [1.12, 1.1, 1.1, 1.08, 1.1, 0.8, 0.7],
    "small hours": [0.75, 0.75, 0.8, 0.9, 1.1, 1.45, 1.35],
    "overnight": [1, 0.97, 0.97, 0.98, 1.05, 1.03, 1],
    "shopping": [0.92, 0.92, 0.95, 1, 1.15, 1.2, 0.86],
    "afternoon": [1.08, 1.06, 1.05, 1.04, 1.07, 0.88, 0.82],
}
#: January first.
YEAR = {
    "violence": [0.8, 0.78, 0.9, 0.98, 1.08, 1.16, 1.22, 1.2, 1.08, 1, 0.92, 0.88],
    "homes": [0.92, 0.82, 0.9, 0.94, 1, 1.08, 1.14, 1.14, 1.06, 1.04, 0.98, 1],
    "vehicles": [0.92, 0.84, 0.92, 0.96, 1, 1.06, 1.12, 1.1, 1.06, 1.06, 1, 0.96],
    "shops": [0.95, 0.88, 0.93, 0.95, 0.98, 1, 1.02, 1.03, 1, 1.02, 1.12, 1.16],
}

#: How officers word it: pieces by offence code's first two digits, drawn one from each list.
WORDING = {
    "05": (
        ("FRONT DOOR KICKED", "REAR DOOR PRIED", "REAR WINDOW BROKEN", "SIDE WINDOW SCREEN CUT", "UNLOCKED DOOR", "GARAGE DOOR LEFT OPEN", "BASEMENT WINDOW"),
        ("ELECTRONICS TAKEN", "TOOLS TAKEN", "CASH TAKEN", "TV TAKEN", "BICYCLE TAKEN", "MEDICATION TAKEN", "NOTHING TAKEN"),
        ("LIVING ROOM SEARCHED", "GARAGE ENTERED", "WHOLE HOUSE SEARCHED", "NEIGHBOR SAW NOBODY", "DOG AT HOME", ""),
    ),
    "06": (
        ("WINDOW SMASHED", "DOOR UNLOCKED", "CONCEALED IN BAG", "TAKEN FROM PORCH", "CATALYTIC CONVERTER CUT", "TAG TAKEN", "RAN PAST REGISTER"),
        ("PURSE", "TOOLS", "PARCEL", "CLOTHING", "ALCOHOL", "ELECTRONICS", "COINS"),
        ("",),
    ),
    "07": (
        ("KEYS LEFT IN VEHICLE", "STEERING COLUMN BROKEN", "WINDOW SMASHED", "KEY FOB RELAY SUSPECTED", "WARMING UP UNATTENDED"),
        ("DRIVEWAY", "STREET", "LOT"),
        ("",),
    ),
    "03": (
        ("APPROACHED ON FOOT", "APPROACHED FROM BEHIND", "GOT OUT OF CAR", "ASKED FOR TIME FIRST", "JUMPED COUNTER"),
        ("DEMANDED PHONE", "DEMANDED WALLET", "DEMANDED CASH"),
        ("MASKED", "HOODED", "TWO OFFENDERS", ""),
    ),
    "14": (("GRAFFITI", "WINDOW BROKEN", "TIRES CUT", "FENCE DAMAGED", "MAILBOX BROKEN"), ("",), ("",)),
}


def wording(code: str, rng: np.random.Generator) -> str:
    """One MO text for a code, "" for codes whose reports have none."""
    lists = WORDING.get(code[:2])
    return "; ".join(w for w in (str(rng.choice(words)) for words in lists) if w) if lists else ""


def hours(clock: str) -> Floats:
    """Cumulative share of the 24 hours."""
    weights = np.array(CLOCKS[clock], dtype=float)
    return np.cumsum(weights) / weights.sum()
