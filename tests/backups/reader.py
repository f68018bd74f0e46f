"""`python -m tests.backups.reader check|read FILE`, in a restored stack: is the backup consistent, and can people go on with it?"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import django

# Rows of one service that refer to earlier rows of another.
REFERENCES = (
    ("documents_document", "contract_id", "contracts_contract", "id"),
    ("signatures_signature", "document_id", "documents_document", "id"),
    ("workflow_workflow", "contract_id", "contracts_contract", "id"),
    ("notifications_notification", "contract_id", "contracts_contract", "id"),
    ("contracts_contract", "buyer_id", "authentication_user", "id"),
)


def check() -> dict[str, Any]:
    """Every effect has its cause and every acknowledged event its effect, in whichever database they are."""
    from apps.core import topology
    from tests.drills.audit import _rows

    wrong = []
    sent: dict[tuple[str, str], tuple[str, bool]] = {}
    for emitter in topology.entries():
        for event, consumer, is_delivered in _rows(
            f"SELECT event_id::text, consumer, delivered_at IS NOT NULL FROM {emitter}_outbox"
        ):
            sent[event, consumer] = (emitter, is_delivered)
    handled = {
        (key, consumer)
        for consumer in topology.entries()
        for (key,) in _rows(f"SELECT key FROM {consumer}_command WHERE method LIKE '%%receive'")
    }
    wrong += [f"event {one} was acknowledged and its effect is missing" for one, (_, done) in sent.items() if done and one not in handled]  # fmt: skip
    wrong += [f"the effect of {one} is there and its cause is not" for one in handled - sent.keys()]
    for table, column, other, key in REFERENCES:
        referred = {value for (value,) in _rows(f"SELECT {column}::text FROM {table} WHERE {column} IS NOT NULL")}
        missing = referred - {value for (value,) in _rows(f"SELECT {key}::text FROM {other}")}
        wrong += [f"{table}.{column} {value} is in no {other}" for value in missing]
    return {"causes": wrong, "events": len(sent), "waiting": sum(not done for _, done in sent.values())}


def read(acknowledged: dict[str, Any]) -> dict[str, Any]:
    """Writes acknowledged before the instant are stored once, waiting events are delivered, and new sales succeed."""
    from apps.extraction.state import stages
    from tests.drills import audit
    from tests.drills.clients import Tally
    from tests.drills.people import People
    from tests.drills.sales import Fact, Load

    messages_per_sale: Counter[str] = Counter(acknowledged["messages_per_sale"])
    facts = [Fact(**{**fact, "parties": tuple(fact["parties"])}) for fact in acknowledged["facts"]]
    cut_at = datetime.fromisoformat(acknowledged["cut_at"])
    verdict = audit.check(audit.Facts(facts, acknowledged["keys"], [], cut_at), messages_per_sale)
    since = audit.now()
    again = People(sys_url(), 4)
    with Load(sys_url(), Tally(), again.trios(1), again.pdf) as load:
        pass
    later = audit.check(audit.Facts(load.facts, [], [], since), messages_per_sale)
    return {
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "sold_on": len(load.facts),
        "sold_wrong": [*load.broken, *later.lost, *later.doubled],
        "signed_in": _old_token_works(acknowledged["people"][0]),
        "stages": {service: stages.observe(service).stage.value for service in ("documents", "contracts")},
    }


def sys_url() -> str:
    """Where the restored stack answers."""
    import os

    return os.environ["WEB_URL"]


def _old_token_works(person: dict[str, Any]) -> bool:
    from tests.drills.clients import DrillClient, Tally

    client = DrillClient(sys_url(), Tally())
    client.authenticate(person["token"], {})
    return bool(client.get("auth/me")["email"] == person["email"])


if __name__ == "__main__":
    django.setup()
    acknowledged = json.loads(Path(sys.argv[2]).read_text())
    print(json.dumps(check() if sys.argv[1] == "check" else read(acknowledged), ensure_ascii=False, default=str))
