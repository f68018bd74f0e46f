"""Paths of the pages."""

from django.http import HttpResponse
from django.urls import path

app_name = "portal"
urlpatterns = [path("", lambda request: HttpResponse("ok"), name="contracts"), path("sign-in/", lambda request: HttpResponse("ok"), name="sign-in")]
