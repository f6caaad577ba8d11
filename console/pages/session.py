"""Signing in and out, with Django's own views."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView

from console.access.policy import public, requires

sign_in = public(LoginView.as_view(template_name="pages/sign_in.html", redirect_authenticated_user=True))
sign_out = requires("own-account")(LogoutView.as_view())
