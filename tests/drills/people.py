"""The drill's people: registered through the public API, with tokens that last as long as the drill."""

from __future__ import annotations

import secrets
import threading
from datetime import timedelta

from apps.authentication.interface import Role
from apps.core.flags.snapshot import bucket
from apps.core.rest.keys import AccessToken
from landcontracts.demo.certificates import Authority
from landcontracts.demo.paper import sale_contract
from tests.drills.clients import DrillClient, Tally
from tests.drills.sales import Person, Trio, trios

REGISTRARS = 4
LIFETIME = timedelta(hours=2)


class People:
    """All people of a drill. Each may be a seller, a buyer or a lawyer."""

    def __init__(self, url: str, count: int) -> None:
        self.members: list[Person] = []
        self._url = url
        self._register(count)
        self.authority = Authority("Drill certificate authority")
        client = DrillClient(url, Tally())
        client.authenticate(self.administrators_token(self.members[0]), {})
        client.post("trust-anchors", {"name": "Drill", "certificate": self.authority.pem()})
        words = {"number": "1", "price": "4750000", "cadastral_number": "-", "currency": "RUB", "terms": "Учение"}
        self.pdf = sale_contract(words, {"address": "-", "area_m2": "1200"}, seller="Продавец", buyer="Покупатель")

    def _register(self, count: int) -> None:
        waiting = list(range(count))
        problems: list[str] = []

        def work() -> None:
            client = DrillClient(self._url, Tally())
            while waiting:
                try:
                    number = waiting.pop()
                except IndexError:
                    return
                email = f"{secrets.token_hex(8)}@drill.example"
                name = f"Участник Номер {number}"
                roles = [Role.SELLER.value, Role.BUYER.value, Role.LAWYER.value]
                body = {"email": email, "password": secrets.token_urlsafe(12), "full_name": name, "roles": roles}
                try:
                    user = client.post("auth/register", body)
                except Exception as error:
                    problems.append(repr(error))
                    raise
                self.members.append(Person(user["id"], email, name, token(user["id"], roles)))

        threads = [threading.Thread(target=work, name="registrar") for _ in range(REGISTRARS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(self.members) != count:
            raise RuntimeError(f"{len(self.members)} of {count} people could register: {problems[:3]}")

    def between(self, flag: str, low: float, high: float) -> list[Person]:
        """The people whom the flag covers at one share and not at the other."""
        return [person for person in self.members if low * 100 <= bucket(flag, person.id) < high * 100]

    def trios(self, count: int, *, first_for: str = "") -> list[Trio]:
        """People for sales; the first three are covered at 5 % already, so that the smallest share has writes as well."""
        first = self.between(first_for, 0, 5)[:3] if first_for else []
        others = [person for person in self.members[1:] if person not in first]
        return trios([*first, *others][: count * 3], self.authority)

    def administrators_token(self, person: Person) -> str:
        """The same person with every right, as an administrator would get it."""
        return token(person.id, ["administrator", "seller"])


def token(user_id: str, roles: list[str]) -> str:
    """An access token as the platform issues it, for a longer time."""
    access = AccessToken()
    access["sub"], access["roles"], access["locale"] = user_id, roles, "ru"
    access.set_exp(lifetime=LIFETIME)
    return str(access)
