"""The list of contracts, creating a contract, and changing the terms of a draft.

Here: contracts as a list and as a form. Not here: the page of one contract (`contract.py`).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.formats import number_format
from django.utils.translation import gettext

from apps.authentication.interface import AUTHENTICATION, UserNotFound
from apps.contracts.interface import CONTRACTS, BadCursor, Contract, ContractStatus, PartyRole, UnknownParty
from apps.core.interface.errors import DomainError
from apps.core.seam.client.registry import call
from apps.portal import words
from apps.portal.forms import ContractForm, TermsForm
from apps.portal.views.page import Page, status_of

PAGE_SIZE = 20
MAX_PLOTS = 200
OPEN = (ContractStatus.DRAFT, ContractStatus.AWAITING_SIGNATURES)
PARTS = {PartyRole.BUYER: "buyer_email", PartyRole.AGENT: "agent_email", PartyRole.LAWYER: "lawyer_email"}


class Contracts(Page):
    """The contracts that the person may see: the person's own, or all for a role that sees everything."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """One page of the list."""
        status = _status(request.GET.get("status", ""))
        cursor = request.GET.get("cursor") or None
        try:
            page = call(CONTRACTS).list(ctx=self.ctx, status=status, limit=PAGE_SIZE, cursor=cursor)
        except BadCursor as error:
            messages.error(request, gettext(error.message))
            return redirect("portal:contracts")
        names = self.names(*(person for contract in page.items for person in (contract.seller_id, contract.buyer_id)))
        return self.show(
            "contracts.html",
            rows=[self._row(contract, names) for contract in page.items],
            next_cursor=page.next_cursor,
            cursor=cursor,
            chosen=status,
            statuses=words.choices(ContractStatus),
        )

    def _row(self, contract: Contract, names: dict[UUID, str]) -> dict[str, Any]:
        """A contract for the list: the other parties and, while it can be signed, the missing conditions."""
        me = self.ctx.actor.id
        sides = ((contract.seller_id, PartyRole.SELLER), (contract.buyer_id, PartyRole.BUYER))
        return {
            "contract": contract,
            "others": [(names.get(person, "—"), role) for person, role in sides if person != me],
            "missing": contract.blockers if contract.status in OPEN else (),
        }


def _status(text: str) -> ContractStatus | None:
    """The status in the address, if any; an unknown one is ignored."""
    return ContractStatus(text) if text in {status.value for status in ContractStatus} else None


class NewContract(Page):
    """Creating a contract for the person's own plot."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form; the address may name a plot."""
        return self._form(initial={"land_plot_id": request.GET.get("plot", "")})

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Create the contract."""
        plots = call(CONTRACTS).list_plots(ctx=self.ctx, limit=MAX_PLOTS).items
        form = ContractForm(request.POST, plots=plots)
        form.is_valid()
        people = self._people(form)  # also when another field is wrong, so that all errors are shown at once
        if form.errors:
            return self.show("new_contract.html", status=422, form=form, plots=plots)
        fields = form.cleaned_data
        try:
            contract = call(CONTRACTS).create(
                ctx=form.once(self.ctx),
                buyer_id=people["buyer_email"],
                agent_id=people.get("agent_email"),
                lawyer_id=people.get("lawyer_email"),
                land_plot_id=UUID(fields["land_plot_id"]),
                price=fields["price"],
                currency=fields["currency"],
                terms=fields["terms"],
            )
        except DomainError as error:
            _refuse(form, error)
            return self.show("new_contract.html", status=status_of(error), form=form, plots=plots)
        messages.success(request, gettext("The contract %(number)s was drawn up.") % {"number": contract.number})
        return redirect("portal:contract", contract.id)

    def _form(self, *, initial: dict[str, Any]) -> HttpResponse:
        plots = call(CONTRACTS).list_plots(ctx=self.ctx, limit=MAX_PLOTS).items
        return self.show("new_contract.html", form=ContractForm(initial=initial, plots=plots), plots=plots)

    def _people(self, form: ContractForm) -> dict[str, UUID]:
        """The people with the entered addresses, by field; an unknown address is an error at its field."""
        people: dict[str, UUID] = {}
        for field in PARTS.values():
            if not form.cleaned_data.get(field):
                continue
            try:
                people[field] = call(AUTHENTICATION).find_by_email(ctx=self.ctx, email=form.cleaned_data[field]).id
            except UserNotFound:
                form.add_error(field, gettext("No account has this address. Ask the person to register first."))
        return people


def _refuse(form: ContractForm, error: DomainError) -> None:
    """Show a refusal at its field; for an unknown party, the field of its part."""
    if not isinstance(error, UnknownParty):
        form.refuse(error)
        return
    field = PARTS.get(error.role)
    role = words.of(error.role)
    sentence = gettext("This person has not registered for this part: %(role)s.") % {"role": role}
    form.add_error(field, sentence)


class Terms(Page):
    """Changing price and terms while the contract is a draft."""

    def get(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """The form with the current price and terms."""
        contract = call(CONTRACTS).get(ctx=self.ctx, contract_id=contract_id)
        price = number_format(contract.price, decimal_pos=2, use_l10n=True, force_grouping=True)
        form = TermsForm(initial={"price": price, "terms": contract.terms})
        return self.show("terms.html", form=form, contract=contract)

    def post(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """Change price and terms."""
        form = TermsForm(request.POST)
        status = 422
        if form.is_valid():
            try:
                call(CONTRACTS).change_terms(ctx=self.ctx, contract_id=contract_id, **form.cleaned_data)
            except DomainError as error:
                form.refuse(error)
                status = status_of(error)
            else:
                messages.success(request, gettext("The terms were changed."))
                return redirect("portal:contract", contract_id)
        contract = call(CONTRACTS).get(ctx=self.ctx, contract_id=contract_id)
        return self.show("terms.html", status=status, form=form, contract=contract)
