"""`/api/v1/schema`: the OpenAPI document, which is made once in each form, because making it takes 100 ms."""

from __future__ import annotations

import threading
from typing import Any

from django.http import HttpResponse
from django.utils.encoding import force_bytes
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

_documents: dict[str, bytes] = {}
_making = threading.Lock()


class SchemaView(SpectacularAPIView):
    """drf-spectacular's, in YAML or JSON by `Accept` or `?format=`. It describes the one version there is."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The document."""
        renderer = request.accepted_renderer
        with _making:
            if renderer.media_type not in _documents:
                made = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # spectacular has no types
                _documents[renderer.media_type] = force_bytes(renderer.render(made.data, renderer.media_type, {}))
        name = f'inline; filename="schema.{renderer.format}"'
        return HttpResponse(
            _documents[renderer.media_type],
            content_type=renderer.media_type,
            headers={"Content-Disposition": name},
        )

    def _get_version_parameter(self, request: Request) -> None:
        """No version: any name in `?version=` would be written into the document."""
