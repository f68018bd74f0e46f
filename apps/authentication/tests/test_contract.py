"""The contract of authentication, on all four sides of the seam."""

import secrets
from functools import partial

import msgspec
import pytest

from apps.authentication.interface import (
    AUTHENTICATION,
    EmailTaken,
    Refusal,
    Refused,
    Role,
    RoleNotDeclarable,
    SignedIn,
    TokenPair,
    UserNotFound,
    WeakPassword,
)
from apps.core.ids import new_id
from apps.core.interface.context import STRANGER
from apps.core.interface.errors import CommandKeyReused, Forbidden, InvalidArguments
from apps.core.seam.client.registry import call
from tests.world import PASSWORD, World


def test_a_registered_person_is_known_by_normalised_address(world: World):
    address = f"{secrets.token_hex(6)}@Test.Example"
    user = call(AUTHENTICATION).register(ctx=world.ctx(), email=address, password=PASSWORD, full_name="Ёлкина Щука")
    assert user.email == address.lower()
    assert call(AUTHENTICATION).get(ctx=world.ctx(user), user_id=user.id) == user
    assert call(AUTHENTICATION).find_by_email(ctx=world.ctx(user), email=address.upper()).full_name == "Ёлкина Щука"


def test_a_stranger_registers_with_the_roles_that_people_declare(world: World):
    stranger = msgspec.structs.replace(world.ctx(), actor=STRANGER)
    account = {"email": f"{secrets.token_hex(6)}@test.example", "password": PASSWORD, "full_name": "Новый Человек"}
    assert call(AUTHENTICATION).register(ctx=stranger, **account).roles == (Role.SELLER, Role.BUYER)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Анна\u2028 Мария\u202e ", "Анна Мария"),
        ("A\u0301da\x7f", "Áda"),
        ("\u200bЁлка", "Ёлка"),
        ("क्\u200dष", "क्\u200dष"),
        ("\u200b\u202e", None),
        ("\u200d \u200c", None),
    ],
)
def test_a_name_hides_nothing(world: World, typed: str, kept: str | None):
    person = world.person()
    if kept is None:
        with pytest.raises(InvalidArguments):
            call(AUTHENTICATION).update_profile(ctx=world.ctx(person), full_name=typed)
        with pytest.raises(InvalidArguments):
            world.person(name=typed)
        return
    assert call(AUTHENTICATION).update_profile(ctx=world.ctx(person), full_name=typed).full_name == kept
    assert world.person(name=typed).full_name == kept


def test_an_address_is_registered_once_in_any_case(world: World):
    user = world.person()
    with pytest.raises(EmailTaken):
        call(AUTHENTICATION).register(ctx=world.ctx(), email=user.email.upper(), password=PASSWORD, full_name="Другой")


def test_a_weak_password_is_refused_with_its_problems(world: World):
    with pytest.raises(WeakPassword) as refusal:
        call(AUTHENTICATION).register(
            ctx=world.ctx(), email=f"{secrets.token_hex(6)}@test.example", password="1029384756", full_name="Кто-то"
        )
    assert refusal.value.problems


def test_a_person_cannot_become_an_administrator_by_registering(world: World):
    stranger = world.person()
    with pytest.raises(RoleNotDeclarable) as refusal:
        call(AUTHENTICATION).register(
            ctx=world.ctx(stranger),
            email=f"{secrets.token_hex(6)}@test.example",
            password=PASSWORD,
            full_name="Хитрый",
            roles=(Role.ADMINISTRATOR,),
        )
    assert refusal.value.role == "administrator"


def test_the_right_password_gives_tokens_and_the_wrong_one_a_refusal(world: World):
    user = world.person()
    pair = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password=PASSWORD)
    assert isinstance(pair, TokenPair)
    assert pair.user_id == user.id
    wrong = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password="wrong-password")
    assert wrong == Refused(reason=Refusal.BAD_CREDENTIALS)
    signed_in = call(AUTHENTICATION).sign_in(ctx=world.ctx(), email=user.email, password=PASSWORD)
    assert isinstance(signed_in, SignedIn)
    assert signed_in.user.id == user.id


def test_five_failures_close_an_address_even_for_the_right_password(world: World):
    user = world.person()
    for _ in range(5):
        call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password="wrong-password")
    answer = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password=PASSWORD)
    assert isinstance(answer, Refused)
    assert answer.reason is Refusal.LOCKED_OUT
    assert 0 < answer.retry_after_seconds <= 900


def test_the_same_key_gives_the_same_tokens_and_counts_once(world: World):
    user = world.person()
    ctx = world.ctx(key=secrets.token_hex(8))
    first = call(AUTHENTICATION).log_in(ctx=ctx, email=user.email, password=PASSWORD)
    again = call(AUTHENTICATION).log_in(ctx=ctx, email=user.email, password=PASSWORD)
    assert first == again
    with pytest.raises(CommandKeyReused):
        call(AUTHENTICATION).log_in(ctx=ctx, email=user.email, password="another-password")


def test_a_refresh_token_rotates_and_the_one_just_replaced_gives_the_same_successor(world: World):
    user = world.person()
    first = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password=PASSWORD)
    second = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=first.refresh_token)
    assert second.refresh_token != first.refresh_token
    lost_answer = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=first.refresh_token)
    assert lost_answer.refresh_token == second.refresh_token


def test_a_refresh_token_used_after_its_successor_revokes_the_family(world: World):
    user = world.person()
    first = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password=PASSWORD)
    second = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=first.refresh_token)
    third = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=second.refresh_token)
    stolen = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=first.refresh_token)
    assert stolen == Refused(reason=Refusal.TOKEN_REUSED)
    after = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=third.refresh_token)
    assert after == Refused(reason=Refusal.TOKEN_INVALID)


def test_a_forged_refresh_token_is_invalid_and_logging_out_twice_is_no_error(world: World):
    user = world.person()
    forged = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token="Zm9yZ2Vk")
    assert forged == Refused(reason=Refusal.TOKEN_INVALID)
    pair = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=user.email, password=PASSWORD)
    call(AUTHENTICATION).log_out(ctx=world.ctx(), refresh_token=pair.refresh_token)
    call(AUTHENTICATION).log_out(ctx=world.ctx(), refresh_token=pair.refresh_token)
    refused = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=pair.refresh_token)
    assert refused == Refused(reason=Refusal.TOKEN_INVALID)


def test_other_peoples_accounts_do_not_exist_and_their_cards_do(world: World):
    person, other = world.person(), world.person(Role.LAWYER, name="Адвокат")
    with pytest.raises(UserNotFound):
        call(AUTHENTICATION).get(ctx=world.ctx(person), user_id=other.id)
    (card,) = call(AUTHENTICATION).cards(ctx=world.ctx(person), user_ids=(other.id,))
    assert (card.full_name, card.roles) == ("Адвокат", (Role.LAWYER,))


def test_only_system_work_reads_addresses(world: World):
    person = world.person()
    with pytest.raises(Forbidden):
        call(AUTHENTICATION).recipients(ctx=world.ctx(person), user_ids=(person.id,))
    (recipient,) = call(AUTHENTICATION).recipients(ctx=world.ctx(), user_ids=(person.id,))
    assert recipient.email == person.email


def test_only_system_work_forgets(world: World):
    with pytest.raises(Forbidden):
        call(AUTHENTICATION).forget(ctx=world.ctx(world.person()))
    assert call(AUTHENTICATION).forget(ctx=world.ctx()).tokens >= 0


def test_a_block_ends_log_in_and_refresh(world: World):
    person = world.person()
    pair = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=person.email, password=PASSWORD)
    with pytest.raises(Forbidden):
        call(AUTHENTICATION).set_active(ctx=world.ctx(person), user_id=person.id, is_active=False)
    assert not call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=person.id, is_active=False).is_active
    assert isinstance(call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=pair.refresh_token), Refused)
    assert isinstance(call(AUTHENTICATION).log_in(ctx=world.ctx(), email=person.email, password=PASSWORD), Refused)


def test_a_profile_changes_only_what_is_given_and_roles_only_by_administrators(world: World):
    person = world.person()
    changed = call(AUTHENTICATION).update_profile(ctx=world.ctx(person), phone="+7 900 000-00-00", locale="en")
    assert (changed.full_name, changed.phone, changed.locale) == (person.full_name, "+7 900 000-00-00", "en")
    with pytest.raises(Forbidden):
        call(AUTHENTICATION).set_roles(ctx=world.ctx(person), user_id=person.id, roles=(Role.REGISTRAR,))
    granted = call(AUTHENTICATION).set_roles(
        ctx=world.ctx(world.administrator(), "administrator"), user_id=person.id, roles=(Role.REGISTRAR,)
    )
    assert granted.roles == (Role.REGISTRAR,)


def test_a_person_who_is_blocked_is_found_by_nobody_until_the_block_ends(world: World):
    person, other = world.person(), world.person()

    def seen() -> list[bool]:
        cards = call(AUTHENTICATION).cards(ctx=world.ctx(other), user_ids=(person.id, other.id))
        recipients = call(AUTHENTICATION).recipients(ctx=world.ctx(), user_ids=(person.id, other.id))
        try:
            call(AUTHENTICATION).find_by_email(ctx=world.ctx(other), email=person.email)
        except UserNotFound:
            return [len(cards) == 2, len(recipients) == 2, False]
        return [len(cards) == 2, len(recipients) == 2, True]

    assert seen() == [True, True, True]
    call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=person.id, is_active=False)
    assert seen() == [False, False, False]
    assert call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=person.id, is_active=True).is_active
    assert seen() == [True, True, True]


def test_a_stranger_finds_nobody_and_the_system_finds_all(world: World):
    person = world.person()
    stranger = msgspec.structs.replace(world.ctx(), actor=STRANGER)
    for find in (
        lambda ctx: call(AUTHENTICATION).find_by_email(ctx=ctx, email=person.email),
        lambda ctx: call(AUTHENTICATION).get(ctx=ctx, user_id=person.id),
    ):
        with pytest.raises(UserNotFound):
            find(stranger)
        assert find(world.ctx()).id == person.id
    assert call(AUTHENTICATION).get(ctx=world.ctx(world.person(), "administrator"), user_id=person.id) == person


def test_an_account_that_is_not_there_is_not_changed(world: World):
    unknown = new_id()
    for change in (
        lambda ctx: call(AUTHENTICATION).get(ctx=ctx, user_id=unknown),
        lambda ctx: call(AUTHENTICATION).set_roles(ctx=ctx, user_id=unknown, roles=()),
        lambda ctx: call(AUTHENTICATION).set_active(ctx=ctx, user_id=unknown, is_active=False),
        lambda ctx: call(AUTHENTICATION).update_profile(ctx=ctx, full_name="Никто"),
    ):
        with pytest.raises(UserNotFound):
            change(world.ctx())


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.REGISTRAR])
def test_an_office_is_given_by_administrators_and_the_system(world: World, role: Role):
    account = {"password": PASSWORD, "full_name": " Смирнова Яна ", "roles": (role, Role.BUYER, role)}

    def register(ctx):
        return call(AUTHENTICATION).register(ctx=ctx, email=f"{secrets.token_hex(6)}@test.example", **account)

    for ctx in (world.ctx(world.person(), "registrar"), world.ctx(world.person(), "administrator")):
        with pytest.raises(RoleNotDeclarable):
            register(ctx)
    for ctx in (world.ctx(), world.ctx(world.administrator(), "administrator")):
        user = register(ctx)
        assert (user.roles, user.full_name) == ((role, Role.BUYER), "Смирнова Яна")


def test_an_administrator_is_one_who_is_one_now(world: World):
    """The roles in a token may be five minutes old."""
    former, blocked, _, person = world.administrator(), world.administrator(), world.administrator(), world.person()

    def refuses(actor, **change: object) -> None:
        change_one = call(AUTHENTICATION).set_active if "is_active" in change else call(AUTHENTICATION).set_roles
        with pytest.raises(Forbidden):
            change_one(ctx=world.ctx(actor, "administrator"), **change)

    ctx = world.ctx(former, "administrator")
    assert not call(AUTHENTICATION).set_active(ctx=ctx, user_id=person.id, is_active=False).is_active
    call(AUTHENTICATION).set_roles(ctx=world.ctx(), user_id=former.id, roles=(Role.BUYER,))
    refuses(former, user_id=former.id, roles=(Role.ADMINISTRATOR,))
    refuses(former, user_id=person.id, is_active=True)
    call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=blocked.id, is_active=False)
    refuses(blocked, user_id=blocked.id, is_active=True)


def test_who_gives_the_role_up_may_repeat_the_request(world: World):
    leaver, _ = world.administrator(), world.administrator()
    ctx = world.ctx(leaver, "administrator", key=secrets.token_hex(8))
    changes = {"user_id": leaver.id, "roles": (Role.BUYER,)}
    first = call(AUTHENTICATION).set_roles(ctx=ctx, **changes)
    assert call(AUTHENTICATION).set_roles(ctx=ctx, **changes) == first, "the answer was lost on the way"


def test_what_is_taken_from_a_person_revokes_the_tokens_of_before(world: World):
    def version() -> int:
        revoked = call(AUTHENTICATION).revoked_tokens(ctx=world.ctx())
        return next((item.token_version for item in revoked if item.user_id == person.id), 0)

    person = world.person(Role.SELLER, Role.LAWYER)
    with pytest.raises(Forbidden):
        call(AUTHENTICATION).revoked_tokens(ctx=world.ctx(person))
    call(AUTHENTICATION).set_roles(ctx=world.ctx(), user_id=person.id, roles=(*person.roles, Role.REGISTRAR))
    call(AUTHENTICATION).update_profile(ctx=world.ctx(person), full_name="Иной Человек")
    call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=person.id, is_active=True)
    assert version() == 0, "nothing was taken"
    call(AUTHENTICATION).set_roles(ctx=world.ctx(), user_id=person.id, roles=person.roles)
    assert version() == 1
    call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=person.id, is_active=False)
    assert version() == 2
    call(AUTHENTICATION).set_active(ctx=world.ctx(), user_id=person.id, is_active=True)
    assert version() == 2
    person = world.person()
    first = call(AUTHENTICATION).log_in(ctx=world.ctx(), email=person.email, password=PASSWORD)
    second = call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=first.refresh_token)
    call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=second.refresh_token)
    assert version() == 0
    call(AUTHENTICATION).refresh(ctx=world.ctx(), refresh_token=first.refresh_token)
    assert version() == 1, "a token was used twice, and so it was stolen"


def test_roles_are_set_once_each_by_the_system_too(world: World):
    person = world.person()
    roles = (Role.LAWYER, Role.BUYER, Role.LAWYER)
    granted = call(AUTHENTICATION).set_roles(ctx=world.ctx(), user_id=person.id, roles=roles)
    assert granted.roles == (Role.LAWYER, Role.BUYER)
    assert call(AUTHENTICATION).get(ctx=world.ctx(person), user_id=person.id) == granted


def test_roles_are_set_beside_a_change_that_was_not_seen(world: World):
    person = world.person()
    seen = call(AUTHENTICATION).get(ctx=world.ctx(person), user_id=person.id).roles
    ask = partial(call(AUTHENTICATION).set_roles, user_id=person.id)
    ask(ctx=world.ctx(), roles=(*seen, Role.LAWYER), seen=tuple(reversed(seen)))
    granted = ask(ctx=world.ctx(), roles=(*seen, Role.REGISTRAR), seen=seen)
    assert granted.roles == (*seen, Role.LAWYER, Role.REGISTRAR)
    ask(ctx=world.ctx(), roles=(*seen, Role.LAWYER), seen=granted.roles)  # another takes the registrar's
    assert ask(ctx=world.ctx(), roles=(Role.REGISTRAR,), seen=granted.roles).roles == (), "it is not given back"
    assert ask(ctx=world.ctx(), roles=(Role.BUYER, Role.BUYER), seen=()).roles == (Role.BUYER,)
    assert ask(ctx=world.ctx(), roles=(Role.BUYER, Role.LAWYER), seen=(Role.LAWYER,)).roles == (Role.BUYER,)


def test_a_profile_that_changes_nothing_stays(world: World):
    person = world.person()
    assert call(AUTHENTICATION).update_profile(ctx=world.ctx(person)) == person
    renamed = call(AUTHENTICATION).update_profile(ctx=world.ctx(person), full_name="Ёжикова Анна")
    assert call(AUTHENTICATION).get(ctx=world.ctx(person), user_id=person.id) == renamed
    assert renamed.full_name == "Ёжикова Анна"


def test_arguments_of_another_shape_are_refused_alike_on_every_side(world: World):
    for address in ("no-at-sign", "a@b", "nul\0@test.example", "", "a@b.c\n", "a@b..co", "a,b@c.dd", "İ@test.example"):
        with pytest.raises(InvalidArguments):
            call(AUTHENTICATION).log_in(ctx=world.ctx(), email=address, password=PASSWORD)
