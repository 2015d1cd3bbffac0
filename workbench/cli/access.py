"""``workbench access``: who may see what, and why?"""

from __future__ import annotations

import argparse
import json
from typing import Any

from workbench.cli.asking import Add


def commands(add: Add) -> None:
    """Declare it."""
    access = add("access", _access, "print who may see what; with --user the decision for each table, and why")
    access.add_argument("--user", metavar="NAME", help="the decisions for this user")
    access.add_argument("--role", help="in this one of their roles, or a lower one")
    access.add_argument("--json", action="store_true", help="print JSON objects")


def _access(args: argparse.Namespace) -> None:
    from workbench import agency as agencies
    from workbench.oversight.access import Policy, matrix
    from workbench.session import find_workspace

    policy = Policy.of(agencies.read(find_workspace(args.workspace)))
    if args.user or args.role:
        _user(policy, args)
        return
    rows = matrix(policy)
    if args.json:
        for row in rows:
            print(json.dumps(row))
        return
    wide = {c: max(len(c), *(len(row[c]) for row in rows)) for c in rows[0]}
    print("  ".join(f"{c:{w}}" for c, w in wide.items()).rstrip())
    for row in rows:
        print("  ".join(f"{row[c] or '-':{w}}" for c, w in wide.items()).rstrip())
    print("\n* only for an open case, with a purpose and a reason; masked: victims, juveniles or sexual offences;\n"
          "30 d: rows of the last 30 days; part: some columns only")
    for role in policy.roles.values():
        print(f"{role.name}: {role.about + '; ' if role.about else ''}may {'everything' if '*' in role.may else ', '.join(role.may) or 'do nothing beside'}")
    given = "; ".join(f"{who} {', '.join(held)}" for who, held in policy.settings.people.items())
    print(f"Everybody{' else' if given else ''} is {', '.join(policy.settings.default)}{'; ' + given if given else ''}.")


def _user(policy: Any, args: argparse.Namespace) -> None:
    from datetime import UTC, datetime

    from workbench.oversight.audit import Person, current_user
    from workbench.schema import TABLES

    user = args.user or current_user()
    role = policy.chosen(user, args.role)
    if not args.json:
        print(f"{user} holds {', '.join(policy.held(user))} and asks as {role}.")
    for name in TABLES:
        bound = Person(user, "a case", policy.settings.purposes[0], "a reason", role)
        decision = policy.decide(bound, name, datetime.now(UTC))
        case = decision.allowed and policy.needs_case(name)
        says = decision.sentence + (" Only for an open case, with a purpose and a reason." if case else "")
        if args.json:
            print(json.dumps({"user": user, "role": role, "table": name, "allowed": decision.allowed, "needs_case": case, "masked": decision.masked,
                              "oldest": decision.oldest and decision.oldest.isoformat(), "hidden": decision.hidden, "says": says}))
        else:
            print(f"  {'yes' if decision.allowed else 'no':4} {name:14} {says}")
