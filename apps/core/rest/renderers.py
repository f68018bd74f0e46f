"""Renders answers: structs to JSON by msgspec; for browsers, the same inside DRF's page with a raw JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django import forms
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

from apps.core.rest.contract import example, spec_of


def _file_form(fields: type[msgspec.Struct]) -> str:
    """The inputs of a form with one file and its fields; DRF's page has the form element and the CSRF token."""
    inputs = [("file", "file"), *((field.encode_name, "text") for field in msgspec.structs.fields(fields))]
    row = (
        '<div class="form-group"><label class="col-sm-2 control-label" for="{0}">{0}</label>'
        '<div class="col-sm-10"><input class="form-control" id="{0}" name="{0}" type="{1}"></div></div>'
    )
    return format_html_join("", row, inputs)


class StructRenderer(JSONRenderer):
    """`application/json` by msgspec."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The answer's bytes, indented where the client asks for it."""
        if data is None:
            return b""
        encoded = msgspec.json.encode(data)
        if renderer_context and renderer_context.get("indent"):
            return msgspec.json.format(encoded, indent=2)
        return encoded


class StructBrowsableRenderer(BrowsableAPIRenderer):
    """DRF's page, with a raw JSON form filled in from the endpoint's declared body."""

    def get_default_renderer(self, view: Any) -> StructRenderer:
        """The renderer of the answer inside the page."""
        return StructRenderer()

    def get_rendered_html_form(self, data: Any, view: Any, method: str, request: Any) -> Any:
        """A form for a file, or the button of a method without a body; without serializers there are no other forms."""
        spec = spec_of(view, method)
        if spec is not None and spec.multipart is not None and method in view.allowed_methods:
            return _file_form(spec.multipart)
        if method in {"DELETE", "OPTIONS"} and method in view.allowed_methods:
            return True
        return None

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Any) -> forms.Form | None:
        """The raw JSON form of a method that takes a body."""
        spec = spec_of(view, method)
        if spec is None or spec.multipart is not None or (spec.body is None and method not in {"POST", "PUT", "PATCH"}):
            return None
        content = "" if spec.body is None else msgspec.json.format(msgspec.json.encode(example(spec.body))).decode()
        choice = ("application/json", "application/json")

        class RawForm(forms.Form):
            _content_type = forms.ChoiceField(
                label=_("Media type:"),
                choices=[choice],
                initial=choice[0],
                widget=forms.Select(attrs={"data-override": "content-type"}),
            )
            _content = forms.CharField(
                label=_("Content:"),
                widget=forms.Textarea(attrs={"data-override": "content"}),
                initial=content,
                required=False,
            )

        return RawForm()
