"""The people, the plot and the contracts that all benchmarks use, and the access tokens of these people."""

from __future__ import annotations

import os
import secrets
import time
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import jwt
import psycopg

from apps.authentication.interface import AUTHENTICATION, User
from apps.contracts.interface import CONTRACTS, LandPlot
from apps.core.interface.context import SYSTEM, Actor, new_context
from apps.core.rest.keys import AccessToken
from apps.core.seam.client.registry import call

CONTRACTS_MADE = 200
TERMS = "Расчёты через аккредитив; участок передаётся по акту после регистрации перехода права."
PRICE = Decimal("3450000.00")


class Market(NamedTuple):
    """A seller with a plot, a buyer, and one of their contracts."""

    seller: Actor
    buyer_id: UUID
    plot: LandPlot
    contract_id: UUID


class NotEmpty(Exception):
    """The database holds contracts of its own; a million more are not for it."""


def require_empty() -> None:
    """Refuse a database with contracts, so that none is filled by accident. Raises: NotEmpty."""
    with psycopg.connect(owner_url()) as owner:
        if owner.execute("SELECT 1 FROM contracts_contract LIMIT 1").fetchone() is not None:
            raise NotEmpty("the benchmarks fill the database: give them an empty one, or none at all")


def owner_url() -> str:
    """The URL of the database for its owner, who may ANALYZE."""
    return os.environ.get("DATABASE_OWNER_URL") or os.environ["DATABASE_URL"]


def make_person(name: str) -> User:
    """Register a new person by the service, as all data here but the million rows."""
    return call(AUTHENTICATION).register(
        ctx=new_context(actor=SYSTEM),
        email=f"{name}@bench.example",
        password=secrets.token_urlsafe(16),
        full_name=name.title(),
    )


def make_market() -> Market:
    """Create the people, the plot, and enough contracts for several pages."""
    seller = actor_of(make_person("seller"))
    buyer = make_person("buyer")
    plot = call(CONTRACTS).record_plot(
        ctx=new_context(actor=seller),
        cadastral_number="50:20:0010203:1187",
        address="Московская область, Одинцовский район, д. Лесная, уч. 7",
        area_m2=Decimal("1200.50"),
    )
    contracts = [
        call(CONTRACTS).create(
            ctx=new_context(actor=seller), buyer_id=buyer.id, land_plot_id=plot.id, price=PRICE, terms=TERMS
        )
        for _ in range(CONTRACTS_MADE)
    ]
    return Market(seller=seller, buyer_id=buyer.id, plot=plot, contract_id=contracts[len(contracts) // 2].id)


def actor_of(person: User) -> Actor:
    """The person as the actor of a call."""
    return Actor(id=person.id, roles=tuple(person.roles))


def our_token(actor: Actor) -> str:
    """An access token of the platform: RS256, five minutes."""
    token = AccessToken()
    token["sub"] = str(actor.id)
    token["roles"] = list(actor.roles)
    token["locale"] = "ru"
    return str(token)


def tutorial_token(actor: Actor) -> str:
    """The same for the tutorial's simplejwt with its default claims and algorithm (HS256)."""
    now = int(time.time())
    claims = {"token_type": "access", "iat": now, "exp": now + 300, "jti": secrets.token_hex(16)}
    claims["user_id"] = str(actor.id)
    return jwt.encode(claims, os.environ["SECRET_KEY"], algorithm="HS256")
