"""Public paths of signatures, below `/api/v1/`."""

from django.urls import path

from apps.signatures.rest import views

urlpatterns = [
    path("signatures", views.Signatures.as_view()),
    path("signatures/sign", views.Sign.as_view()),
    path("signatures/<uuid:signature_id>", views.SignatureDetail.as_view()),
    path("signatures/<uuid:signature_id>/verify", views.Verify.as_view()),
    path("trust-anchors", views.TrustAnchors.as_view()),
    path("revocation-lists", views.RevocationLists.as_view()),
]
