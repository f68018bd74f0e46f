"""Public paths of authentication, below `/api/v1/`."""

from django.urls import path

from apps.authentication.rest import views

urlpatterns = [
    path("auth/register", views.Register.as_view()),
    path("auth/login", views.LogIn.as_view()),
    path("auth/refresh", views.Refresh.as_view()),
    path("auth/logout", views.LogOut.as_view()),
    path("auth/me", views.Me.as_view()),
    path("users", views.People.as_view()),
    path("users/me", views.MyProfile.as_view()),
    path("users/<uuid:user_id>", views.PersonDetail.as_view()),
]
