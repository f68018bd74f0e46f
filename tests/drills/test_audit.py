"""The drill's audit reports missing and doubled rows; each kind is planted in turn."""

import uuid
from collections import Counter

import pytest
from django.db import connection

from apps.core.ids import new_id
from tests.drills import audit
from tests.drills.sales import Fact
from tests.world import World, pdf, settle

MESSAGES_PER_SALE: Counter[str] = Counter({"status_changed": 12})


def fact_of(contract, plot, document, *people, sha256: str) -> Fact:
    ids = [str(person.id) for person in people]
    return Fact(
        plot.cadastral_number, str(plot.id), str(contract.id), str(document.id), sha256, (*ids,)[:3], people[0].email
    )


@pytest.fixture
def sale(here: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0)
    since = audit.now()
    people = [here.person() for _ in range(3)]
    plot = here.plot(people[0])
    contract = here.contract(people[0], people[1], plot=plot)
    settle(here.trace)  # the workflow has started before the document comes
    document = here.document(people[0], contract, pdf())
    settle(here.trace)
    return fact_of(contract, plot, document, *people, sha256=document.sha256), since


def complaints(sale, **changes):
    fact, since = sale
    verdict = audit.check(
        audit.Facts([fact], changes.get("keys", []), changes.get("syncs", []), since), MESSAGES_PER_SALE
    )
    # These tests ignore what a draft does not have yet, and rows of other tests.
    unfinished = (
        "signature",
        "completed of",
        "signed of",
        "in_registration of",
        "awaiting",
        "completed stage",
        "status_changed",
        "event",
    )
    lost = [words for words in verdict.lost if not words.startswith(unfinished)]
    return lost, [
        words for words in verdict.doubled if "never acknowledged" not in words and "messages of" not in words
    ]


def execute(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def test_a_sale_that_is_all_there_has_no_complaint(sale):
    assert complaints(sale) == ([], [])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("contract_id", "contract"),
        ("document_id", "document"),
        ("plot_id", "contract"),
        ("cadastral_number", "plot"),
        ("newcomer", "account"),
        ("sha256", "file of"),
    ],
)
def test_what_was_acknowledged_and_is_not_there_is_lost(sale, changed: str, words: str):
    fact, since = sale
    lost, _ = complaints((fact._replace(**{changed: str(uuid.uuid4())}), since))
    assert any(complaint.startswith(words) for complaint in lost), lost


def test_a_key_and_a_sync_without_their_effect_are_lost(sale):
    lost, _ = complaints(sale, keys=["never-seen"], syncs=[str(uuid.uuid4())])
    assert [words.split()[0] for words in lost] == ["sync", "command"]


def test_a_second_document_workflow_status_or_plot_is_doubled(sale):
    fact, _ = sale
    copies = (
        (
            "INSERT INTO documents_document SELECT (d).* FROM (SELECT jsonb_populate_record(d, jsonb_build_object('id', %s::text)) AS d"
            " FROM documents_document d WHERE id = %s) AS copied"
        ),
        (
            "INSERT INTO contracts_statuschange SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object('id', %s::text)) AS s"
            " FROM contracts_statuschange s WHERE contract_id = %s LIMIT 1) AS copied"
        ),
        (
            "INSERT INTO contracts_landplot SELECT (p).* FROM (SELECT jsonb_populate_record(p, jsonb_build_object('id', %s::text,"
            " 'owner_id', gen_random_uuid()::text)) AS p FROM contracts_landplot p WHERE id = %s) AS copied"
        ),
    )
    ids = (fact.document_id, fact.contract_id, fact.plot_id)
    copied_ids = [str(new_id()) for _ in copies]
    try:
        for sql, new, old in zip(copies, copied_ids, ids, strict=True):
            execute(sql, new, old)
        _, doubled = complaints(sale)
        assert {words.split()[0] for words in doubled} == {"document", "draft", "plot"}, doubled
    finally:
        for table, new in zip(
            ("documents_document", "contracts_statuschange", "contracts_landplot"), copied_ids, strict=True
        ):
            execute(f"DELETE FROM {table} WHERE id = %s", new)


def test_a_row_that_was_never_acknowledged_is_doubled(sale, here: World):
    fact, since = sale
    plot = here.plot(here.person())
    verdict = audit.check(audit.Facts([fact], [], [], since), MESSAGES_PER_SALE)
    assert any("plot that was never acknowledged" in words for words in verdict.doubled), plot
