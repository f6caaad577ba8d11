from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory
from django.urls import URLPattern, get_resolver

from console.access import audit, policy, roles
from console.api.routes import ROUTES
from console.models import ApiToken, AuditEntry

# What each role may do, written out: the policy's table must say the same.
EXPECTED = {
    "viewer": {"read-status", "browse", "read-jobs", "read-alerts", "own-account", "read-metrics"},
    "operator": {
        "export",
        "verify",
        "snapshot",
        "compact",
        "rebuild",
        "schedule",
        "cancel-job",
        "manage-alerts",
        "read-audit",
    },
    "admin": {"manage-users"},
}


def all_patterns():
    def walk(patterns, prefix=""):
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                yield prefix + str(pattern.pattern), pattern.callback
            else:
                yield from walk(pattern.url_patterns, prefix + str(pattern.pattern))

    return list(walk(get_resolver().url_patterns))


@pytest.mark.parametrize(("path", "view"), all_patterns(), ids=lambda each: each if isinstance(each, str) else "")
def test_every_url_declares_its_action(path, view):
    declared = policy.declared_action(view)

    assert declared in {*policy.ACTIONS, policy.PUBLIC, policy.BY_ARGUMENT}, (
        f"{path} declares no action: decorate it with @requires"
    )


def test_only_sign_in_its_sheet_and_health_are_public():
    assert {path for path, view in all_patterns() if policy.declared_action(view) == policy.PUBLIC} <= {
        "healthz",
        "sign-in/",
        "login/",
        "static/<str:version>/all.css",
    }


def test_every_route_of_the_api_has_an_action():
    assert {route.action for route in ROUTES} <= {*policy.ACTIONS, policy.BY_ARGUMENT}


@pytest.mark.parametrize("action", sorted(policy.ACTIONS))
@pytest.mark.parametrize("role", [None, "viewer", "operator", "admin"])
def test_the_matrix_of_roles_and_actions(role, action):
    order = ["viewer", "operator", "admin"]
    mine = set().union(*(EXPECTED[each] for each in order[: order.index(role) + 1])) if role else set()

    assert policy.role_may(role, action) is (action in mine)


def test_a_view_that_declares_nothing_is_refused():
    middleware = policy.DeclaredActionMiddleware(lambda _request: None)

    with pytest.raises(PermissionDenied):
        middleware.process_view(RequestFactory().get("/x"), lambda _request: None, (), {})


def test_an_unknown_action_fails_when_the_view_is_written():
    with pytest.raises(ValueError, match="not an action"):
        policy.requires("fly")


def test_someone_without_a_role_may_do_nothing(account):
    user = account("viewer")
    user.groups.clear()

    assert not policy.allowed(user, "read-status")


def test_an_inactive_admin_may_do_nothing(account):
    user = account("admin")
    user.is_active = False

    assert not policy.allowed(user, "read-status")


@pytest.mark.usefixtures("db")
def test_roles_exist_from_the_first_migration_on():
    # Run again: a test that flushes the database takes away what its migrations have made.
    Group.objects.all().delete()
    import_module("console.migrations.0002_roles").make_roles(apps, None)
    assert set(Group.objects.values_list("name", flat=True)) == {"viewer", "operator", "admin"}


@pytest.mark.usefixtures("db")
def test_an_account_can_be_ensured_twice():
    roles.ensure_account("ada", "operator", "a long password", "the-token-of-ada-0123456789")
    user = roles.ensure_account("ada", "viewer", "another password", "the-token-of-ada-0123456789")

    assert user.check_password("another password")
    assert policy.role_of(user) == "viewer"
    assert ApiToken.objects.count() == 1


def test_a_token_is_kept_as_a_digest_only(account):
    account("viewer")

    assert "token-of-the-viewer" not in str(list(ApiToken.objects.values()))


def test_a_revoked_token_opens_nothing(account):
    from django.utils import timezone

    account("viewer")
    assert roles.user_of_token("token-of-the-viewer-for-tests") is not None
    ApiToken.objects.update(revoked_at=timezone.now())
    assert roles.user_of_token("token-of-the-viewer-for-tests") is None


def test_the_audit_is_written_once_and_stays(account):
    entry = audit.write(account("admin"), "rebuild", via="page", parameters={"a": 1})

    with pytest.raises(TypeError):
        entry.save()
    with pytest.raises(TypeError):
        entry.delete()
    assert AuditEntry.objects.get().username == "admin-user"


@pytest.mark.parametrize(("by", "expected"), [("environment", True), ("options", True)])
@pytest.mark.usefixtures("db")
def test_the_command_takes_secrets_either_way(monkeypatch, by, expected, capsys):
    from django.core.management import call_command

    options = {}
    if by == "environment":
        monkeypatch.setenv("STATEHOUSE_ADMIN_PASSWORD", "canary password")
        monkeypatch.setenv("STATEHOUSE_API_TOKEN", "canary-token-0123456789-abc")
    else:
        options = {"password": "canary password", "token": "canary-token-0123456789-abc"}
    call_command("ensure_account", username="root", role="admin", **options)

    user = roles.user_of_token("canary-token-0123456789-abc")
    assert (user is not None and user.check_password("canary password")) is expected
    assert "canary" not in capsys.readouterr().out
