"""A repeated command is answered from what was stored, which holds no token: the same tokens are made again."""

from apps.authentication.interface import AUTHENTICATION, TokenPair
from apps.authentication.models import Command
from apps.core.seam.client.registry import call
from tests.world import PASSWORD, World


def test_a_repeated_log_in_and_a_repeated_refresh_give_the_same_tokens(here: World):
    person = here.person()
    ctx = here.ctx(key=f"log-in {person.id}")
    pair, again = (call(AUTHENTICATION).log_in(ctx=ctx, email=person.email, password=PASSWORD) for _ in range(2))
    assert isinstance(pair, TokenPair)
    assert pair == again
    ctx = here.ctx(key=f"refresh {person.id}")
    next_pair, again = (call(AUTHENTICATION).refresh(ctx=ctx, refresh_token=pair.refresh_token) for _ in range(2))
    assert next_pair == again
    assert next_pair.refresh_token != pair.refresh_token
    stored = b"".join(bytes(answer) for answer in Command.objects.values_list("answer", flat=True) if answer)
    assert pair.refresh_token.encode() not in stored
    assert next_pair.refresh_token.encode() not in stored
