"""Words in values: NIBRS codes by the wording of an offence, the parts of an address, columns that are brothers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from workbench.intake import synonyms
from workbench.intake.sniff import Profile

#: Wording -> NIBRS offence, the first that fits; English, then German, French, Spanish, Portuguese, Italian and Dutch words for the same.
_NIBRS: tuple[tuple[str, str], ...] = tuple((re.sub(r"\s+", " ", p), c) for p, c in (
    (r"negligent (manslaughter|homicide)|homicide.*negligent|fahrlassige totung", "09B"),
    (r"homicide|murder|manslaughter|totschlag|\bmord\b|totung|homicidio|assassinat|meurtre|omicidio|moord|doodslag|feminicidio", "09A"),
    (r"kidnap|abduct|unlawful restraint|false imprison|entfuhrung|freiheitsberaubung|enlevement|secuestro|sequestro|ontvoering", "100"),
    (r"sodomy", "11B"), (r"sexual assault with", "11C"), (r"fondl|sexual battery|sexual abuse|indecent assault|belastigung|sexual contact", "11D"),
    (r"statutory rape", "36B"), (r"incest", "36A"), (r"\brape\b|sex(ual)? assault|sex abuse|vergewaltigung|\bviol\b|violacion|estupro|violenza sessuale|verkrachting|agression sexuelle|forcible sex", "11A"),
    (r"carjack|robbery|\brobb|\braub|vol avec violence|vol a main armee|robo (con|a mano)|asalto|roubo|rapina|\bberoving|\boverval", "120"),
    (r"sale of stolen|poss(ession)? (of )?stolen|receiving stolen|stolen property|hehlerei|recel|receptacion|ricettazione|heling", "280"),
    (r"burgl|break(ing)? (&|and|or) ent|b ?& ?e\b|unlawful entry|housebreak|home invasion|einbruch|cambriolage|robo (a|en) (casa|domicilio|vivienda|local)|allanamiento|arrombamento|furto in (abitazione|casa)|inbraak|effraction", "220"),
    (r"theft (from|f/|f) ?(motor )?(veh|auto|mv)|larceny.*(from|f/) ?(motor )?(veh|auto|mv)|car ?prowl|break.*(into|in) (motor )?(veh|auto)|burglary.*vehicle|theft from m|aus kfz|aus kraftfahrzeug|vol (a la roulotte|dans vehicule)|theft of property.*vehicle|diefstal uit auto|objetos de vehiculo", "23F"),
    (r"vehicle parts|auto parts|catalytic|license plate theft|theft.*access|accesorios|autopart", "23G"),
    (r"motor vehicle theft|vehicle theft|auto ?theft|stolen (vehicle|auto|motor)|theft of (a )?(motor )?(veh|auto)|theft.*\bmotor vehicle$|grand theft auto|\bgta\b|\bmvt\b|stolen car|unauthorized use.*vehicle|vehicle.*stolen|vehicle - stolen|auto theft|kfz.?diebstahl|diebstahl.*(von )?(kfz|kraft)|vol (de|d.un) vehicule|vol de voiture|robo de (vehiculo|auto|coche)|furto de veiculo|furto (di )?(auto|veicol)|autodiefstal|vehicle crime", "240"),
    (r"pick.?pocket|pocket.?pick|taschendiebstahl|vol a la tire|carterista|borseggio|zakkenrol|theft from (the )?person", "23A"), (r"purse.?snatch|snatch", "23B"),
    (r"shoplift|shop theft|retail theft|ladendiebstahl|vol a l.etalage|hurto en (comercio|tienda)|taccheggio|winkeldiefstal|theft from (store|shop)", "23C"),
    (r"from building|theft from (a )?building|furto in edificio", "23D"), (r"coin.?op|from machine", "23E"),
    (r"theft|larceny|stealing|\bstlg|steal|petit lar|petty lar|grand lar|diebstahl|\bvol\b|\bvols\b|hurto|\brobo\b|furto|diefstal|bicycle", "23H"),
    (r"aggravated|agg?r?v? ?ass|deadly weapon|\badw\b|felony assault|felonious assault|assault.*(weapon|gun|knife|firearm)|shooting|stabbing|malicious wounding|gefahrliche korperverletzung|schwere korperverletzung|lesiones graves|lesioni gravi|zware mishandeling|assault 1|assault 2", "13A"),
    (r"intimidat|threat|harass|menac|stalk|bedrohung|menaces|amenaza|ameaca|minacc|bedreiging|telephone misuse", "13C"),
    (r"assault|battery|\bbatt\b|korperverletzung|coups et blessures|violences|lesiones|agresion|lesao corporal|agressao|lesioni|percosse|mishandeling|assl?t|domestic violence|violence and sexual", "13B"),
    (r"arson|brandstift|incendi|brandstichting", "200"), (r"brib", "510"), (r"blackmail|extort|erpressung|extorsi|estors|afpers", "210"),
    (r"counterfeit|forg|falschung|faux|falsific|vervals", "250"), (r"identity theft|id theft|financial identity|identitats", "26F"), (r"credit card|atm fraud|access device", "26B"), (r"impersonat", "26C"), (r"embezz|unterschlagung|abus de confiance|malversacion|appropriazione|verduister", "270"),
    (r"fraud|decepti|swindl|bunco|false pretense|confidence game|bad check|betrug|escroquerie|estafa|estelionato|fraude|truffa|oplichting|theft of services", "26A"),
    (r"vandal|criminal damage|damage|mischief|destruction|graffiti|sachbeschadigung|degradation|\bdanos?\b|dano|danneggiamento|vernieling", "290"),
    (r"paraphernalia", "35B"), (r"drug|narcot|controlled substance|marijuana|cannabis|dangerous drug|betaubungsmittel|\bbtm\b|stupefiant|estupefaciente|drogas?|stupefacent|verdovende|opiumwet", "35A"),
    (r"gambl|glucksspiel", "39A"), (r"prostitut|solicit|zuhalter|proxenet", "40A"), (r"porn|obscene material", "370"), (r"traffick.*(human|person)|human traffick|menschenhandel", "64A"),
    (r"weapon|firearm|\bgun\b|concealed carry|\bwaffe|arme prohibee|port d.arme|armas|\barmi\b|wapen", "520"), (r"animal cruel", "720"),
    (r"\bdui\b|\bdwi\b|\bowi\b|driving under|drunk driv|intoxicated driv|alcohol.*driv|trunkenheit", "90D"), (r"drunk|intoxicat", "90E"), (r"liquor", "90G"),
    (r"disorderly|disturb|public peace|breach of|ruhestorung|ordre public", "90C"), (r"trespass|hausfriedens", "90J"), (r"family offense|child endanger|neglect|offense.*child", "90F"), (r"runaway", "90I"), (r"peeping|voyeur", "90H"),
))
_COMPILED = tuple((re.compile(p), c) for p, c in _NIBRS)
#: Distinct wordings that are written into a mapping file at most.
MOST = 400


def nibrs(profiles: Sequence[Profile]) -> tuple[Profile, dict[str, str], float] | None:
    """The column whose wording tells the offence best, wording -> code, and the share of rows that get one; None where no wording tells."""
    best: tuple[Profile, dict[str, str], float] | None = None
    for place, profile in enumerate(profiles):
        if profile.letters < 0.5 or not profile.given:
            continue
        codes = {t: c for t, _ in profile.texts.most_common(MOST) if (c := code_of(t))}
        known = sum(profile.texts[t] for t in codes) / profile.given
        if known > (best[2] + (0.05 if place else 0.0) if best else 0.2):
            best = profile, codes, known
    return best


def code_of(wording: str) -> str:
    """The NIBRS offence a wording means; "" where it cannot be told. Words of other kinds of event (a lost property) give none."""
    import unicodedata

    plain = "".join(c for c in unicodedata.normalize("NFKD", wording.replace("ß", "ss")) if not unicodedata.combining(c)).lower()
    if re.search(r"lost property|found property|non.?crim|warrant|missing person|suspicious|recovered|hit.and.run|\balarm", plain):
        return ""
    return next((code for pattern, code in _COMPILED if pattern.search(plain)), "")


_DIRECTIONS = frozenset({"N", "S", "E", "W", "NE", "NW", "SE", "SW", "NORTH", "SOUTH", "EAST", "WEST"})


def address(street: Profile, found: Mapping[str, Profile], used: set[str]) -> tuple[str, tuple[str, ...]] | None:
    """An address joined out of columns beside each other (number, direction, street, kind), and those columns; None where the street stands alone."""
    names = list(found)
    at = names.index(street.name) if street.name in names else -1
    if at < 0 or street.letters < 0.5:
        return None
    leading = sum(n for t, n in street.texts.items() if re.match(r"\d+[A-Z]? |\d{1,5}X+|X+ |.*\bblock\b", t, re.I)) / max(1, street.given)
    if leading > 0.5:
        return None
    before = [found[n] for n in names[max(0, at - 3) : at] if n not in used]
    after = [found[n] for n in names[at + 1 : at + 3] if n not in used]
    parts: list[Profile] = []
    number = next((p for p in reversed(before + after[:1]) if _house(p)), None)
    if number is None:
        return None
    parts.append(number)
    parts += [p for p in before if p is not number and p.solid and {t.upper() for t in p.solid} <= _DIRECTIONS]
    parts.append(street)
    if after and {"suffix", "sfx", "type", "suf"} & set(synonyms.split(after[0].name)) and after[0].words < 1.2 and not _other_side(after[0]):
        parts.append(after[0])
    return f"join({', '.join(p.written for p in parts)}, \" \")".join(("text(", ")")), tuple(p.name for p in parts)


def _other_side(p: Profile) -> bool:
    return any(w in p.name.lower() for w in ("intersect", "cross"))


def _house(p: Profile) -> bool:
    words = set(synonyms.split(p.name)) | set(re.findall(r"[a-z]+", p.name.lower()))
    named = words & {"number", "house", "block", "address", "hausnummer", "numero", "hundred", "add", "huisnummer", "civico"} or any(w.endswith("address") for w in words)
    return bool(named) and bool(p.number) and p.whole and p.given > 0


_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def siblings(first: str, found: Mapping[str, Profile], used: set[str]) -> list[str]:
    """Columns called like one but for a number: FIRST APPROACH, SECOND APPROACH; UNIT1, UNIT2."""
    words = re.findall(r"[a-z]+|\d+", first.lower())
    bare = [w for w in words if w not in _ORDINALS and not w.isdigit()]
    if bare == words:
        return []
    return [n for n in found if n != first and n not in used and [w for w in (m := re.findall(r"[a-z]+|\d+", n.lower())) if w not in _ORDINALS and not w.isdigit()] == bare and m != bare]


def camera_kind(name: str) -> str:
    """The kind of camera that a file's name says; "" where it says none."""
    low = name.replace("_", " ").lower()
    return next((k for k, words in (("red light", ("red light", "redlight")), ("speed", ("speed",)), ("plate reader", ("lpr", "alpr", "anpr")), ("body", ("body",))) if any(w in low for w in words)), "")
