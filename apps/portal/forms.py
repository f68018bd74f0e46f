"""The forms: fields with the interfaces' own limits, so that a wrong field is named before a call.

Here: fields, their words, and the field at which a refusal is shown. Not here: the rules, which the services check.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from django import forms
from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.authentication.interface import DECLARED_ROLES, EmailTaken, RoleNotDeclarable, WeakPassword
from apps.contracts.interface import (
    BadArea,
    BadCadastralNumber,
    BadPrice,
    LandCategory,
    LandPlot,
    LandPlotNotFound,
    LandPlotTaken,
    NotYourPlot,
    SamePerson,
)
from apps.core.interface.context import CallContext
from apps.core.interface.errors import DomainError
from apps.portal import words
from apps.workflow.interface import BadActualDate

MAX_LINE = 300
MAX_TEXT = 20_000
CURRENCIES = ("RUB", "USD", "EUR", "CNY")
_GROUPING = re.compile(r"[\s\u00a0\u2009\u202f']+")
_KEY = re.compile(r"[0-9a-f]{32}")


class Form(forms.Form):
    """A form that shows a service's refusal at the field it concerns."""

    REFUSAL_FIELDS: ClassVar[dict[type[DomainError], str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""

    def refuse(self, error: DomainError, field: str | None = None) -> None:
        """Show a refusal, at its field if it has one."""
        target = field or self.REFUSAL_FIELDS.get(type(error))
        problems: Sequence[str] = getattr(error, "problems", ())
        for sentence in problems or (words.of_refusal(error),):
            self.add_error(target if target in self.fields else None, sentence)


class OnceForm(Form):
    """A form that creates something, once even when sent twice: its key is the command's key."""

    command_key = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("command_key", secrets.token_hex(16))

    def once(self, ctx: CallContext) -> CallContext:
        """The context under this form's key."""
        key = str(self.cleaned_data.get("command_key", ""))
        return msgspec.structs.replace(ctx, command_key=key) if _KEY.fullmatch(key) else ctx


class AmountField(forms.DecimalField):
    """A number as people write it: spaces between thousands, a comma or a point before the decimals.

    The service decides which numbers are amounts; its refusal is shown at the field.
    """

    def __init__(self, **kwargs: Any) -> None:
        attributes = {"inputmode": "decimal", "autocomplete": "off"}
        super().__init__(widget=forms.TextInput(attrs=attributes), **kwargs)

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]  # the stubs know integers only
        """Parse the number. With both commas and points, the last sign separates the decimals."""
        text = _GROUPING.sub("", str(value or ""))
        if "," in text and "." in text:
            thousands = "," if text.rindex(",") < text.rindex(".") else "."
            text = text.replace(thousands, "")
        amount: Decimal | None = super().to_python(text.replace(",", "."))
        return amount


class SignInForm(Form):
    """E-mail and password."""

    email = forms.CharField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class RegisterForm(OnceForm):
    """A new account."""

    REFUSAL_FIELDS: ClassVar = {EmailTaken: "email", WeakPassword: "password", RoleNotDeclarable: "roles"}
    full_name = forms.CharField(
        label=_("Full name"), max_length=MAX_LINE, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    phone = forms.RegexField(
        label=_("Phone"),
        regex=r"^\+?[0-9 ()-]*$",
        max_length=20,
        required=False,
        help_text=_("Not required. For example +7 900 123-45-67."),
        error_messages={"invalid": _("A phone number has digits, spaces, brackets and hyphens only.")},
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    password = forms.CharField(
        label=_("Password"),
        min_length=8,
        max_length=200,
        strip=False,
        help_text=_("At least 8 characters, not only digits."),
        # Shown again after a mistake elsewhere in the form, so that no input is lost.
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
    )
    roles = forms.MultipleChoiceField(
        label=_("I take part in sales as"),
        widget=forms.CheckboxSelectMultiple,
        initial=[DECLARED_ROLES[0].value, DECLARED_ROLES[1].value],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].choices = [(role.value, words.of(role)) for role in DECLARED_ROLES]  # type: ignore[attr-defined]  # a choice field


class ProfileForm(Form):
    """The person's own account."""

    full_name = RegisterForm.base_fields["full_name"]
    phone = RegisterForm.base_fields["phone"]
    locale = forms.ChoiceField(
        label=_("Language"),
        choices=[("ru", "Русский"), ("en", "English")],
        help_text=_("Of these pages and of the messages we send you."),
    )


class PlotForm(OnceForm):
    """A plot to record as the person's own."""

    REFUSAL_FIELDS: ClassVar = {
        BadCadastralNumber: "cadastral_number",
        LandPlotTaken: "cadastral_number",
        BadArea: "area_m2",
    }
    cadastral_number = forms.CharField(
        label=_("Cadastral number"),
        max_length=60,
        help_text=_("As in the register extract, for example 50:20:0010203:1187."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "text"}),
    )
    address = forms.CharField(label=_("Address or location"), max_length=MAX_LINE)
    area_m2 = AmountField(label=_("Area, m²"))
    category = forms.ChoiceField(label=_("Category of land"), initial=LandCategory.SETTLEMENT.value)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["category"].choices = words.choices(LandCategory)  # type: ignore[attr-defined]  # a choice field


class ContractForm(OnceForm):
    """A contract of sale of one of the person's own plots."""

    REFUSAL_FIELDS: ClassVar = {
        BadPrice: "price",
        LandPlotNotFound: "land_plot_id",
        NotYourPlot: "land_plot_id",
        SamePerson: "buyer_email",
    }
    land_plot_id = forms.ChoiceField(label=_("Plot"))
    buyer_email = forms.EmailField(
        label=_("Buyer's e-mail"), max_length=254, help_text=_("The exact address that the buyer is registered with.")
    )
    price = AmountField(label=_("Price"))
    currency = forms.ChoiceField(label=_("Currency"), choices=[(code, code) for code in CURRENCIES])
    agent_email = forms.EmailField(
        label=_("Agent's e-mail"), max_length=254, required=False, help_text=_("Not required.")
    )
    lawyer_email = forms.EmailField(
        label=_("Lawyer's e-mail"), max_length=254, required=False, help_text=_("Not required.")
    )
    terms = forms.CharField(
        label=_("Terms"),
        max_length=MAX_TEXT,
        required=False,
        help_text=_("What you have agreed besides the price: how and when it is paid, what passes with the plot."),
        widget=forms.Textarea(attrs={"rows": 6}),
    )

    def __init__(self, *args: Any, plots: Sequence[LandPlot], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        options = [(str(plot.id), f"{plot.cadastral_number} — {plot.address}") for plot in plots]
        self.fields["land_plot_id"].choices = [("", gettext("Choose a plot")), *options]  # type: ignore[attr-defined]  # a choice field


class TermsForm(Form):
    """Price and terms of a draft."""

    REFUSAL_FIELDS: ClassVar = {BadPrice: "price"}
    price = AmountField(label=_("Price"))
    terms = forms.CharField(
        label=_("Terms"), max_length=MAX_TEXT, required=False, widget=forms.Textarea(attrs={"rows": 10})
    )


class MoveForm(Form):
    """A contract's move to another status."""

    comment = forms.CharField(
        label=_("Comment"),
        max_length=MAX_TEXT,
        required=False,
        help_text=_("Not required. The other parties will read it."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def require_choice(self, is_known: bool) -> bool:
        """Show an error unless the pressed button is a known one; returns `is_known`."""
        if not is_known:
            self.add_error(None, gettext("Choose what is to be done."))
        return is_known


class StageForm(MoveForm):
    """A stage's move to another status."""

    REFUSAL_FIELDS: ClassVar = {BadActualDate: "actual_date"}
    actual_date = forms.DateField(
        label=_("Done on"),
        required=False,
        help_text=_("Today, if left empty."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    field_order = ("actual_date", "comment")


class UploadForm(Form):
    """A document to attach; a script sends it and shows the progress."""

    file = forms.FileField(
        label=_("File"),
        widget=forms.FileInput(attrs={"accept": "application/pdf,image/png,image/jpeg"}),
    )
    document_type = forms.ChoiceField(label=_("What it is"))

    def __init__(self, *args: Any, types: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["document_type"].choices = types  # type: ignore[attr-defined]  # a choice field
        limit = {"limit": filesizeformat(settings.DOCUMENT_MAX_BYTES)}
        self.fields["file"].help_text = gettext("PDF, PNG or JPEG, up to %(limit)s.") % limit
