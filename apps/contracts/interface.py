"""Land plots, contracts of sale, and access to them. The public file of `contracts`.

Here: errors, DTOs, events, Protocol. Not here: files (`documents`), certificates (`signatures`), stages (`workflow`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant, Line, Text
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.events import Event, EventConsumer
from apps.core.interface.labels import LabelledEnum
from apps.core.interface.operations import ServiceKey, command, query

PageSize = Annotated[int, Meta(ge=1, le=200)]
CursorText = Annotated[str, Meta(max_length=200)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
CadastralNumber = Annotated[str, Meta(max_length=60, examples=["50:20:0010203:1187"])]
MAX_PRICE, MAX_AREA = Decimal("999999999999999.99"), Decimal("9999999999.99")


class ContractStatus(LabelledEnum):
    """The status of a contract."""

    DRAFT = "draft", gettext_noop("Draft")
    AWAITING_SIGNATURES = "awaiting_signatures", gettext_noop("Awaiting signatures")
    SIGNED = "signed", gettext_noop("Signed")
    IN_REGISTRATION = "in_registration", gettext_noop("In registration")
    COMPLETED = "completed", gettext_noop("Completed")
    CANCELLED = "cancelled", gettext_noop("Cancelled")


class PartyRole(LabelledEnum):
    """A person's part in one contract."""

    SELLER = "seller", gettext_noop("Seller")
    BUYER = "buyer", gettext_noop("Buyer")
    AGENT = "agent", gettext_noop("Agent")
    LAWYER = "lawyer", gettext_noop("Lawyer")


class Blocker(LabelledEnum):
    """A reason why a contract is not signed yet."""

    NO_SALE_CONTRACT = "no_sale_contract", gettext_noop("The contract of sale has not been uploaded")
    SELLER_SIGNATURE_MISSING = "seller_signature_missing", gettext_noop("The seller has not signed")
    BUYER_SIGNATURE_MISSING = "buyer_signature_missing", gettext_noop("The buyer has not signed")
    PLOT_UNDER_CONTRACT = (
        "plot_under_contract",
        gettext_noop("Another contract for this plot is signed or in registration"),
    )


class LandCategory(LabelledEnum):
    """Category of land (Land Code of the Russian Federation, article 7)."""

    AGRICULTURAL = "agricultural", gettext_noop("Agricultural land")
    SETTLEMENT = "settlement", gettext_noop("Land of settlements")
    INDUSTRIAL = "industrial", gettext_noop("Land of industry, energy, transport and other special purpose")
    PROTECTED = "protected", gettext_noop("Specially protected land")
    FOREST = "forest", gettext_noop("Forest land")
    WATER = "water", gettext_noop("Land of water bodies")
    RESERVE = "reserve", gettext_noop("Reserve land")


class LandPlot(Dto):
    """A plot as its owner recorded it. The area is in square metres."""

    id: UUID
    cadastral_number: str
    address: str
    area_m2: Decimal
    category: LandCategory
    owner_id: UUID
    created_at: Instant


class Contract(Dto):
    """A contract of sale of one plot. The price is in units of `currency` (ISO 4217), with two decimals."""

    id: UUID
    number: str
    status: ContractStatus
    seller_id: UUID
    buyer_id: UUID
    agent_id: UUID | None
    lawyer_id: UUID | None
    land_plot_id: UUID
    cadastral_number: str
    price: Decimal
    currency: str
    terms: str
    blockers: tuple[Blocker, ...]
    created_at: Instant
    updated_at: Instant


class ContractPage(Dto):
    """A page of contracts, newest first. `next_cursor` is None on the last page."""

    items: tuple[Contract, ...]
    next_cursor: str | None


class LandPlotPage(Dto):
    """A page of plots, newest first."""

    items: tuple[LandPlot, ...]
    next_cursor: str | None


class StatusChange(Dto):
    """One entry of a contract's history. `by` is None when an event changed the status."""

    status: ContractStatus
    at: Instant
    by: UUID | None
    comment: str


class ContractRights(Dto):
    """The actor's rights to one contract that the actor may see. `filled` lists the parts that a person holds."""

    contract_id: UUID
    number: str
    status: ContractStatus
    role: PartyRole | None
    may_upload: bool
    may_sign: bool
    may_manage: bool
    legal_moves: tuple[ContractStatus, ...]
    filled: tuple[PartyRole, ...] = ()


class Participant(Dto):
    """A person in a contract."""

    user_id: UUID
    role: PartyRole


class ContractNotFound(DomainError, code="contract_not_found", category=Category.NOT_FOUND):
    """No such contract, or none that the actor may see."""

    message = gettext_noop("There is no such contract.")


class LandPlotNotFound(DomainError, code="land_plot_not_found", category=Category.NOT_FOUND):
    """No such plot, or none that the actor may see."""

    message = gettext_noop("There is no such land plot.")


class BadCadastralNumber(DomainError, code="bad_cadastral_number", category=Category.INVALID):
    """The number breaks the rule of the state cadastre (district:region:quarter:plot)."""

    message = gettext_noop(
        "A cadastral number is two digits, two digits, six or seven digits and a number other than zero, separated by "
        "colons, for example 50:20:0010203:1187."
    )
    given: str


class LandPlotTaken(DomainError, code="land_plot_exists", category=Category.CONFLICT):
    """The actor has recorded this plot already."""

    message = gettext_noop("You have recorded this plot already.")
    land_plot_id: UUID


class BadPrice(DomainError, code="bad_price", category=Category.INVALID):
    """The price is not a positive amount of money."""

    message = gettext_noop("The price is a positive amount with at most two digits after the point, below 10^15.")


class BadArea(DomainError, code="bad_area", category=Category.INVALID):
    """The area is not a positive number of square metres."""

    message = gettext_noop("The area is a positive number of square metres with at most two digits after the point.")


class UnknownParty(DomainError, code="unknown_party", category=Category.INVALID):
    """A person named in the contract has no active account, or lacks the role that the part needs."""

    message = gettext_noop("No active person with the needed role is known for: {role}.")
    role: PartyRole


class SamePerson(DomainError, code="same_person_twice", category=Category.INVALID):
    """One person cannot hold two parts in a contract."""

    message = gettext_noop("One person cannot hold two parts in a contract.")


class NotYourPlot(DomainError, code="plot_not_sellers", category=Category.INVALID):
    """The plot belongs to another person than the seller."""

    message = gettext_noop("The plot is not recorded by the seller.")


class NotAParty(DomainError, code="not_a_party", category=Category.FORBIDDEN):
    """The actor creates a contract without taking part in it."""

    message = gettext_noop("Only a participant of a contract can create it.")


class PlotUnderContract(DomainError, code="plot_under_contract", category=Category.CONFLICT):
    """Another contract for the same plot is past the draft: a plot is not sold twice."""

    message = gettext_noop("Another contract for this plot is under way.")


class IllegalStatusMove(DomainError, code="illegal_status_move", category=Category.CONFLICT):
    """The move is not possible from the contract's status, or not for this actor."""

    message = gettext_noop("From “{current}” the contract cannot go to “{asked}” by you. Possible: {possible}.")
    current: ContractStatus
    asked: ContractStatus
    legal: tuple[ContractStatus, ...]

    @property
    def possible(self) -> str:
        """The legal moves as a list for people."""
        return ", ".join(self.legal) or "—"


class TermsFrozen(DomainError, code="terms_frozen", category=Category.CONFLICT):
    """Terms change only while the contract is a draft."""

    message = gettext_noop("The terms can be changed only in a draft.")


class BadCursor(DomainError, code="bad_cursor", category=Category.INVALID):
    """The cursor is not one of this list."""

    message = gettext_noop("The page cursor is not valid.")


class ContractCreated(Event):
    """A contract was created; its workflow starts."""

    TYPE: ClassVar[str] = "contracts.contract_created"
    contract_id: UUID
    number: str
    participants: tuple[Participant, ...]


class ContractStatusChanged(Event):
    """A contract's status changed. The signatures of both parties make the change to `signed`."""

    TYPE: ClassVar[str] = "contracts.status_changed"
    contract_id: UUID
    number: str
    previous: ContractStatus
    status: ContractStatus
    comment: str
    participants: tuple[Participant, ...]


class ContractsService(EventConsumer, Protocol):
    """Plots and contracts."""

    @command
    def record_plot(
        self,
        *,
        ctx: CallContext,
        cadastral_number: CadastralNumber,
        address: Line,
        area_m2: Decimal,
        category: LandCategory = LandCategory.SETTLEMENT,
    ) -> LandPlot:
        """Record a plot as the actor's own. Raises: BadCadastralNumber, Forbidden, BadArea, LandPlotTaken."""

    @query
    def get_plot(self, *, ctx: CallContext, land_plot_id: UUID) -> LandPlot:
        """A plot, for its owner and the parties of its contracts. Raises: LandPlotNotFound."""

    @query(may_lag=True)
    def list_plots(self, *, ctx: CallContext, limit: PageSize = 50, cursor: CursorText | None = None) -> LandPlotPage:
        """The actor's own plots, or all for a role that sees everything. Raises: BadCursor."""

    @command
    def create(
        self,
        *,
        ctx: CallContext,
        buyer_id: UUID,
        land_plot_id: UUID,
        price: Decimal,
        seller_id: UUID | None = None,
        currency: Currency = "RUB",
        terms: Text = "",
        agent_id: UUID | None = None,
        lawyer_id: UUID | None = None,
    ) -> Contract:
        """Create a contract; without `seller_id` the actor is the seller.

        Raises: UnknownParty, BadPrice, SamePerson, NotAParty, LandPlotNotFound, NotYourPlot.
        """

    @query
    def get(self, *, ctx: CallContext, contract_id: UUID) -> Contract:
        """A contract. Raises: ContractNotFound."""

    @query(may_lag=True)
    def list(
        self,
        *,
        ctx: CallContext,
        status: ContractStatus | None = None,
        land_plot_id: UUID | None = None,
        limit: PageSize = 50,
        cursor: CursorText | None = None,
    ) -> ContractPage:
        """The contracts that the actor may see, newest first, by keyset. Raises: BadCursor."""

    @query(may_lag=True)
    def history(self, *, ctx: CallContext, contract_id: UUID) -> tuple[StatusChange, ...]:
        """The status history of a contract, oldest first. Raises: ContractNotFound."""

    @query
    def participants(self, *, ctx: CallContext, contract_id: UUID) -> tuple[Participant, ...]:
        """The people in a contract. Raises: ContractNotFound."""

    @query
    def rights(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[ContractRights, ...]:
        """The actor's rights to each of these contracts; those that the actor may not see are left out."""

    @command
    def change_terms(
        self, *, ctx: CallContext, contract_id: UUID, price: Decimal | None = None, terms: Text | None = None
    ) -> Contract:
        """Change a draft's price and terms. Raises: BadPrice, ContractNotFound, Forbidden, TermsFrozen."""

    @command
    def change_status(
        self, *, ctx: CallContext, contract_id: UUID, status: ContractStatus, comment: Text = ""
    ) -> Contract:
        """Change a contract's status. Raises: ContractNotFound, IllegalStatusMove, PlotUnderContract."""


CONTRACTS: ServiceKey[ContractsService] = ServiceKey("contracts", ContractsService)
