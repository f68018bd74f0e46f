"""Shadow calls: what is compared, what is stored, and that no caller waits for them."""

import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest
from prometheus_client import REGISTRY

from apps.authentication.interface import AUTHENTICATION, PersonCard, User
from apps.contracts.interface import CONTRACTS, Contract, ContractNotFound
from apps.core.interface import errors
from apps.core.interface.context import new_context
from apps.core.interface.errors import RemoteCallFailed
from apps.core.seam.answer import Answer
from apps.core.seam.client import shadow
from apps.core.seam.client.comparison import Failure, Verdict, compare, differences, masked
from apps.core.seam.client.registry import call
from apps.core.seam.client.shadow import Sample, Shadow
from apps.documents.interface import DOCUMENTS, DownloadLink
from apps.extraction.routing.shadow import mismatches, recorder
from apps.extraction.routing.shadow.models import ShadowComparison
from tests.world import World

GET = CONTRACTS.operations["get"]
CARDS = AUTHENTICATION.operations["cards"]
DOWNLOAD = DOCUMENTS.operations["download"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def contract(**changes: object) -> Contract:
    fields = {
        "id": uuid4(),
        "number": "LC-2026-000001",
        "status": "draft",
        "seller_id": uuid4(),
        "buyer_id": uuid4(),
        "agent_id": None,
        "lawyer_id": None,
        "land_plot_id": uuid4(),
        "cadastral_number": "50:20:0010203:1",
        "price": Decimal("1.50"),
        "currency": "RUB",
        "terms": "Секрет",
        "blockers": (),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return msgspec.convert({**fields, **changes}, Contract)


def answer(value: object) -> Answer:
    return Answer(msgspec.json.encode(value))


def comparison(operation, first, *rest: object, primary: object = None, always_twice: bool = False):
    """Compare a first answer with the other side's answers in turn."""
    others = iter(item if isinstance(item, Failure) else answer(item) for item in rest)
    last: list[Answer | Failure] = []

    def other() -> Answer | Failure:
        last[:] = [next(others, last[-1] if last else None)]
        return last[0]

    again = answer(first if primary is None else primary)
    return compare(operation, answer(first), other, lambda: again, always_twice=always_twice)


def test_equal_answers_match():
    one = contract()
    assert comparison(GET, one, one).verdict is Verdict.MATCH


def test_a_differing_field_is_named_by_its_path():
    one = contract()
    finding = comparison(GET, one, msgspec.structs.replace(one, price=Decimal("2.00"), blockers=("no_sale_contract",)))
    assert finding.verdict is Verdict.MISMATCH
    assert finding.fields == ("blockers[] (count)", "price")


def test_values_are_compared_by_meaning_and_not_by_their_bytes():
    one = contract()
    foreign = msgspec.json.encode(one).replace(b'"1.50"', b'"1.5"').replace(b"00:00:00Z", b"03:00:00+03:00")
    foreign = foreign.replace(b'"currency"', b'"from_the_future":1,"currency"')
    finding = compare(GET, answer(one), lambda: Answer(foreign), lambda: answer(one))
    assert finding.verdict is Verdict.MATCH


def test_a_refusal_against_an_answer_is_a_mismatch_and_two_equal_refusals_match():
    refused = Answer(errors.to_wire(ContractNotFound()), ContractNotFound())
    one = contract()
    assert compare(GET, answer(one), lambda: refused, lambda: answer(one)).fields == ("(answer)",)
    assert compare(GET, refused, lambda: refused, lambda: refused).verdict is Verdict.MATCH


def test_no_answer_from_the_other_side_is_a_failure_and_an_unreadable_one_too():
    one = contract()
    assert comparison(GET, one, Failure("timeout")).verdict is Verdict.FAILED
    assert compare(GET, answer(one), lambda: Answer(b'{"id":7}'), lambda: answer(one)).verdict is Verdict.FAILED


def test_fields_that_vary_by_their_nature_are_ignored():
    link = DownloadLink(url="https://a", original_filename="a.pdf", expires_at=NOW)
    other = msgspec.structs.replace(link, url="https://b", expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert comparison(DOWNLOAD, link, other).verdict is Verdict.MATCH
    renamed = msgspec.structs.replace(other, original_filename="b.pdf")
    assert comparison(DOWNLOAD, link, renamed).fields == ("original_filename",)


def test_a_list_without_an_order_may_come_in_any():
    cards = [PersonCard(id=uuid4(), full_name=name, roles=()) for name in ("А", "Б", "В")]
    assert comparison(CARDS, cards, cards[::-1]).verdict is Verdict.MATCH
    assert list(differences(GET, (1, 2), (2, 1))) == ["[]", "[]"]


def test_a_difference_that_is_gone_when_asked_again_is_noise():
    before, after = contract(), None
    after = msgspec.structs.replace(before, status="signed")
    finding = comparison(GET, before, after, after, primary=after)  # changed between the two calls
    assert finding.verdict is Verdict.NOISE
    assert (finding.fields, finding.noise) == ((), ("status",))


def test_noise_is_subtracted_and_a_difference_beside_it_stays():
    one = contract()
    finding = comparison(
        GET,
        one,
        msgspec.structs.replace(one, updated_at=datetime(2026, 1, 2, tzinfo=UTC), price=Decimal(9)),
        primary=msgspec.structs.replace(one, updated_at=datetime(2026, 1, 3, tzinfo=UTC)),
    )
    assert finding.verdict is Verdict.MISMATCH
    assert (finding.fields, finding.noise) == (("price",), ("updated_at",))


def test_a_side_that_fails_when_asked_again_takes_no_difference_back():
    one = contract()
    finding = comparison(GET, one, msgspec.structs.replace(one, price=Decimal(2)), Failure("timeout"))
    assert finding.verdict is Verdict.MISMATCH
    assert finding.fields == ("price",)


def test_noise_is_measured_where_nothing_differs_as_well():
    one = contract()
    finding = comparison(GET, one, one, primary=msgspec.structs.replace(one, number="x"), always_twice=True)
    assert finding.verdict is Verdict.NOISE
    assert finding.asked_twice


def test_a_stored_answer_shows_no_text_and_still_shows_differences():
    user = User(
        id=uuid4(),
        email="ivan@example.com",
        full_name="Иван Петров",
        phone="+7 900",
        roles=("seller",),
        locale="ru",
        is_active=True,
        created_at=NOW,
    )
    shown = masked(user)
    assert str(shown["id"]) == str(user.id)
    assert shown["is_active"] is True
    assert not [text for text in ("ivan", "Иван", "Петров", "900") if text in str(shown)]
    assert shown["full_name"] == masked(user)["full_name"]
    assert shown["full_name"] != masked(msgspec.structs.replace(user, full_name="Пётр Иванов"))["full_name"]
    assert masked({"note": "Иван", "raw": msgspec.Raw(b'"Ivan"')})["note"].startswith("text ")
    assert "Ivan" not in str(masked({"raw": msgspec.Raw(b'"Ivan"')}))


class Side:
    """A side with a given answer."""

    side = process = "away"

    def __init__(self, give) -> None:
        self._give = give
        self.calls = 0

    def send(self, operation, ctx, arguments) -> Answer:
        self.calls += 1
        return self._give()


def sample_of(contract_: Contract, **named: str) -> Sample:
    ctx = new_context(shadow=("contracts",), **named)
    return Sample(GET, ctx, GET.encode_arguments({"contract_id": contract_.id}), answer(contract_), "home", 0.002)


def shadowing(other, primary=None, record=recorder.record) -> Shadow:
    sides = {"away": Side(other), "home": Side(primary or other)}
    return Shadow(record, lambda _service, side: sides[side])


def drained(shadow: Shadow, sample: Sample) -> ShadowComparison:
    shadow.drain(sample)
    return ShadowComparison.objects.get(request_id=sample.ctx.request_id)


def test_a_comparison_is_stored_with_both_answers_timings_and_its_request():
    one = contract()
    other = msgspec.structs.replace(one, terms="Другое", price=Decimal("7.00"))
    sample = sample_of(one, request_id=uuid4().hex, trace="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    row = drained(shadowing(lambda: answer(other), lambda: answer(one)), sample)
    assert row.verdict == "mismatch"
    assert row.fields == ["price", "terms"]
    assert (row.primary_answer["price"], row.other_answer["price"]) == ("1.50", "7.00")
    assert row.primary_answer["terms"] != row.other_answer["terms"]
    assert "Секрет" not in str(row.primary_answer)
    assert row.arguments == {"contract_id": str(one.id)}
    assert row.primary_ms == 2.0
    assert row.other_ms > 0
    assert row.trace == sample.ctx.trace
    row.delete()


def test_differences_are_counted_by_service_method_and_field():
    one = contract()
    shadow = shadowing(lambda: answer(msgspec.structs.replace(one, number="x")), lambda: answer(one))
    rows = [drained(shadow, sample_of(one, request_id=uuid4().hex)) for _ in range(3)]
    counted = {(item.service, item.method, item.field): item for item in mismatches.fields("contracts")}
    number = counted["contracts", "get", "number"]
    assert number.mismatched >= 3
    assert number.percent > 0
    assert next(item for item in mismatches.tallies("contracts") if item.method == "get").mismatched >= 3
    for row in rows:
        row.delete()


def test_a_side_that_fails_or_raises_is_a_finding_and_nothing_more():
    one = contract()

    def fail():
        raise RemoteCallFailed("gone", may_have_executed=False)

    for give in (fail, lambda: {}["nothing"]):
        row = drained(shadowing(give, lambda: answer(one)), sample_of(one, request_id=uuid4().hex))
        assert row.verdict == "failed"
        assert set(row.other_answer) == {"failed"}
        row.delete()


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_full_queue_drops_and_counts_and_never_waits(settings):
    settings.SEAM_SHADOW_QUEUE = 5
    release = threading.Event()
    one = contract()

    def hang():
        release.wait(20)
        return answer(one)

    recorded = []
    shadow = shadowing(hang, record=recorded.extend)
    before = counted("seam_shadow_dropped_total", service="contracts", method="get")
    started = time.perf_counter()
    for _ in range(200):
        shadow.put(sample_of(one))
    assert time.perf_counter() - started < 1
    assert counted("seam_shadow_dropped_total", service="contracts", method="get") - before >= 190
    release.set()


def test_a_failing_recorder_is_counted_and_raises_nothing():
    def refuse(rows):
        raise OSError("no store")

    before = counted("seam_shadow_lost_total")
    one = contract()
    assert shadowing(lambda: answer(one), record=refuse).drain(sample_of(one)) == 1
    assert counted("seam_shadow_lost_total") == before + 1


def test_only_queries_of_shadowed_services_are_offered(here: World, monkeypatch: pytest.MonkeyPatch):
    offered = []
    monkeypatch.setattr(shadow, "offer", lambda operation, *_: offered.append(f"{operation.service}.{operation.name}"))
    seller = here.person()
    plot = here.plot(seller)
    ctx = msgspec.structs.replace(here.ctx(seller), shadow=("contracts",))
    call(CONTRACTS).get_plot(ctx=ctx, land_plot_id=plot.id)
    call(AUTHENTICATION).cards(ctx=ctx, user_ids=(seller.id,))
    with pytest.raises(ContractNotFound):
        call(CONTRACTS).get(ctx=ctx, contract_id=uuid4())
    assert offered == ["contracts.get_plot", "contracts.get"]


def test_a_shadow_call_is_not_shadowed_and_has_a_timeout_of_its_own():
    contexts = []

    class RecordingSide(Side):
        def send(self, operation, ctx, arguments):
            contexts.append(ctx)
            return self._give()

    one = contract()
    shadow = Shadow(list, lambda _service, _side: RecordingSide(lambda: answer(one)))
    late = sample_of(one)
    late = late._replace(ctx=msgspec.structs.replace(late.ctx, expires_at=0))
    shadow.drain(late)
    assert contexts[0].shadow == ()
    assert contexts[0].remaining_ms() > 1_000


def test_old_comparisons_are_forgotten_and_differences_stay_longer():
    from datetime import timedelta

    from django.utils import timezone

    one = contract()
    same = drained(shadowing(lambda: answer(one)), sample_of(one, request_id=uuid4().hex))
    other = msgspec.structs.replace(one, number="x")
    differing = drained(shadowing(lambda: answer(other), lambda: answer(one)), sample_of(one, request_id=uuid4().hex))
    old = timezone.now() - timedelta(days=2)
    ShadowComparison.objects.filter(id__in=(same.id, differing.id)).update(compared_at=old)
    recorder.forget()
    assert not ShadowComparison.objects.filter(id=same.id).exists()
    assert ShadowComparison.objects.filter(id=differing.id).exists()
    differing.delete()
