"""A request in a pact: named values come from the provider's state, and no value belongs to one run."""

from uuid import uuid4

import pytest

from tests.pacts.examples import FAR, NOON, SOME_DAY, Names, NotReplayable, Request, of_name
from tests.pacts.recorder import Recording

SALE = {"seller_id": str(uuid4()), "buyer_id": str(uuid4()), "number": "LC-2031-123456", "document_id": str(uuid4())}
NAMES = Names(SALE, {"seller_id", "buyer_id", "number"})


def request(**arguments: object) -> Request:
    context = {"command_key": "k-1", "request_id": "r-7", "trace": "t", "remaining_ms": 12, "away": ["contracts"]}
    sent = {"context": context, "arguments": arguments}
    recording = Recording("a", None, None, "", sent, 200, None, None)  # type: ignore[arg-type]  # only the request is read
    return Request(recording, NAMES)


def test_a_named_value_is_filled_in_by_the_state():
    recorded = request(seller=SALE["seller_id"], event={"key": "k-1"})
    assert recorded.placeholders == {
        "$.context.command_key": "command_key",
        "$.arguments.seller": "seller_id",
        "$.arguments.event.key": "command_key",
    }
    assert recorded.body["arguments"]["seller"] == of_name("seller_id")


def test_times_and_the_context_belong_to_no_run():
    recorded = request(at="2031-05-04T03:02:01.123456Z", on="2031-05-04", typed=FAR)
    assert recorded.body["arguments"] == {"at": NOON, "on": SOME_DAY, "typed": FAR}
    assert recorded.body["context"]["away"] == []
    assert recorded.body["context"]["request_id"] != "r-7"


def test_a_set_of_ids_has_one_order_and_none_of_another_sale():
    recorded = request(ids=[SALE["seller_id"], str(uuid4()), SALE["buyer_id"]])
    assert recorded.placeholders["$.arguments.ids[0]"] == "buyer_id"
    assert recorded.body["arguments"]["ids"] == [of_name("buyer_id"), of_name("seller_id")]


def test_a_value_that_the_state_does_not_provide_is_not_replayable():
    with pytest.raises(NotReplayable):
        request(document=SALE["document_id"])


def test_an_answer_is_anonymised():
    assert NAMES.anonymised("Contract LC-2031-123456") == f"Contract {of_name('number')}"
    assert "Signature" not in NAMES.anonymised("https://storage.test/x?Signature=1", "url")
    assert NAMES.identity(SALE["document_id"]) == of_name("document_id")
