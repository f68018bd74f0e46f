"""Paths of the pages."""

from django.urls import path

from apps.portal.views import account, contract, contracts, documents, notifications, plots, signing, upload

app_name = "portal"
CONTRACT = "contracts/<uuid:contract_id>/"
DOCUMENT = CONTRACT + "documents/<uuid:document_id>/"

urlpatterns = [
    path("", contracts.Contracts.as_view(), name="contracts"),
    path("sign-in/", account.SignIn.as_view(), name="sign-in"),
    path("sign-out/", account.SignOut.as_view(), name="sign-out"),
    path("register/", account.Register.as_view(), name="register"),
    path("profile/", account.Profile.as_view(), name="profile"),
    path("plots/", plots.Plots.as_view(), name="plots"),
    path("plots/<uuid:land_plot_id>/", plots.Plot.as_view(), name="plot"),
    path("contracts/new/", contracts.NewContract.as_view(), name="new-contract"),
    path(CONTRACT, contract.Contract.as_view(), name="contract"),
    path(CONTRACT + "terms/", contracts.Terms.as_view(), name="terms"),
    path(CONTRACT + "history/", contract.History.as_view(), name="history"),
    path(CONTRACT + "status/", contract.Move.as_view(), name="move"),
    path(CONTRACT + "stages/<uuid:stage_id>/", contract.MoveStage.as_view(), name="stage"),
    path(CONTRACT + "signatures/<uuid:signature_id>/verify/", signing.Verify.as_view(), name="verify"),
    path(CONTRACT + "documents/", upload.Upload.as_view(), name="upload"),
    path(DOCUMENT + "download/", documents.Download.as_view(), name="download"),
    path(DOCUMENT + "content", documents.Content.as_view(), name="content"),
    path(DOCUMENT + "sign/", signing.Sign.as_view(), name="sign"),
    path("notifications/", notifications.Notifications.as_view(), name="notifications"),
    path("notifications/read/", notifications.Read.as_view(), name="read-all"),
    path("notifications/<uuid:notification_id>/read/", notifications.Read.as_view(), name="read"),
    path("notifications/unread", notifications.Unread.as_view(), name="unread"),
]
