"""A request in a pact: what it names is asked of the provider's state, and nothing in it belongs to one run."""

from uuid import uuid4

import pytest

from tests.pacts.examples import FAR, NOON, SOME_DAY, Names, NotReplayable, Request, of_name
from tests.pacts.recorder import Recording

SALE = {"seller_id": str(uuid4()), "buyer_id": str(uuid4()), "number": "LC-2031-123456", "document_id": str(uuid4())}
NAMES = Names(SALE, {"seller_id", "buyer_id", "number"})


def request(**arguments: object) -> Request:
    context = {"command_key": "k-1", "request_id": "r-7", "trace": "t", "remaining_ms": 12, "away": ["contracts"]}
    sent = {"context": context, "arguments": arguments}
    recording = Recording("a", None, None, "", sent, 200, None, None)  # type: ignore[arg-type]  # only what was sent is read
    return Request(recording, NAMES)


def test_what_has_a_name_is_asked_of_the_state():
    made = request(seller=SALE["seller_id"], event={"key": "k-1"})
    assert made.asked == {
        "$.context.command_key": "command_key",
        "$.arguments.seller": "seller_id",
        "$.arguments.event.key": "command_key",
    }
    assert made.body["arguments"]["seller"] == of_name("seller_id")


def test_times_and_the_way_of_the_call_are_those_of_no_run():
    made = request(at="2031-05-04T03:02:01.123456Z", on="2031-05-04", typed=FAR)
    assert made.body["arguments"] == {"at": NOON, "on": SOME_DAY, "typed": FAR}
    assert made.body["context"]["away"] == []
    assert made.body["context"]["request_id"] != "r-7"


def test_a_set_of_ids_has_one_order_and_none_of_another_sale():
    made = request(ids=[SALE["seller_id"], str(uuid4()), SALE["buyer_id"]])
    assert made.asked["$.arguments.ids[0]"] == "buyer_id"
    assert made.body["arguments"]["ids"] == [of_name("buyer_id"), of_name("seller_id")]


def test_what_the_state_does_not_give_is_not_replayed():
    with pytest.raises(NotReplayable):
        request(document=SALE["document_id"])


def test_an_answer_is_retold_without_what_belongs_to_its_run():
    assert NAMES.retold("Contract LC-2031-123456") == f"Contract {of_name('number')}"
    assert "Signature" not in NAMES.retold("https://storage.test/x?Signature=1", "url")
    assert NAMES.identity(SALE["document_id"]) == of_name("document_id")
