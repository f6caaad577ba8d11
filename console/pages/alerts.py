"""Alerts: what fires, the rules, what was sent; and the form that makes a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from console.access import policy
from console.access.audit import address_of
from console.access.policy import requires
from console.alerts import rules, shown, tasks
from console.alerts.conditions import CONDITIONS, VERDICTS
from console.models import AlertRule
from console.observe import snapshot
from console.pages import copy_as, links, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase


@requires("read-alerts")
def alerts(request: HttpRequest) -> HttpResponse:
    """Draw what is open, the rules, what ended, and what was sent."""
    may_manage = policy.allowed(request.user, "manage-alerts")
    found = shown.everything(secrets=may_manage)
    for each in found["open"] + found["history"]:
        each["href"] = _href(each)
    for each in found["rules"] if may_manage else ():
        each["actions"] = [_copied(request, each["id"], "test")]
    context = found | {"may_manage": may_manage, "manage_role": policy.ACTIONS["manage-alerts"]}
    context["copies"] = copy_as.call(request, "GET", "/api/v1/alerts", command=["alerts", "list"])
    return shell.page(request, "pages/alerts.html", snapshot.rail(), context, section="alerts", topic="overview")


def _copied(request: HttpRequest, rule: int, name: str) -> dict[str, Any]:
    """Return an action on a rule as things to paste."""
    method, path = ("POST", "/test") if name == "test" else ("DELETE", "")
    command = ["alerts", name, str(rule)]
    return {"name": name, "ways": copy_as.call(request, method, f"/api/v1/alerts/rules/{rule}{path}", command=command)}


@requires("manage-alerts")
def new(request: HttpRequest) -> HttpResponseBase:
    """Draw the form, or make the rule. A link may fill the form in: its query has the names of the fields."""
    given = {field: request.GET.get(field, usual) for field, usual in rules.FIELDS.items()}
    return _form(request, None, given)


@requires("manage-alerts")
def edit(request: HttpRequest, rule: int) -> HttpResponseBase:
    """Draw a rule's form, or change the rule."""
    found = _rule(rule)
    return _form(request, found, shown.form_of(found))


@require_POST
@requires("manage-alerts")
def delete(request: HttpRequest, rule: int) -> HttpResponse:
    """Delete a rule."""
    found = _rule(rule)
    name = found.name
    rules.delete(shell.user_of(request), found, address=address_of(request))
    messages.success(request, f"The rule {name!r} is deleted; what it found stays in the history.")
    tasks.ask()
    return redirect("alerts")


@require_POST
@requires("manage-alerts")
def send_test(request: HttpRequest, rule: int) -> HttpResponse:
    """Have a test message sent to everybody whom the rule names."""
    found = _rule(rule)
    queued = rules.send_test(shell.user_of(request), found, address=address_of(request))
    tasks.ask()
    messages.success(request, f"{len(queued)} test message{'s' if len(queued) != 1 else ''} under way: whether they arrive stands below, under Messages.")  # fmt: skip
    return redirect("alerts")


def _form(request: HttpRequest, rule: AlertRule | None, given: dict[str, str]) -> HttpResponseBase:
    problems: dict[str, str] = {}
    if request.method == "POST":
        given = {field: request.POST.get(field, "") for field in rules.FIELDS}
        try:
            saved = rules.save(shell.user_of(request), given, rule=rule, address=address_of(request))
        except rules.Invalid as error:
            problems = error.problems
        else:
            messages.success(request, f"The rule {saved.name!r} is saved.")
            return redirect("alerts")
    seen = snapshot.overview(bounded=True)
    names = {store["name"] for each in seen["applications"] for store in each["stores"]}
    context: dict[str, Any] = {
        "rule": rule,
        "given": given,
        "problems": problems,
        "conditions": CONDITIONS,
        "verdict_choices": VERDICTS,
        "known_applications": [each["id"] for each in seen["applications"]],
        "known_names": sorted(names),
        "actions": [_copied(request, rule.pk, name) for name in ("test", "delete")] if rule else [],
        "mail_configured": settings.EMAIL_CONFIGURED,
    }
    status = 422 if problems else 200
    return shell.page(request, "pages/alert_rule.html", seen, context, section="alerts", status=status)


def _rule(number: int) -> AlertRule:
    found = AlertRule.objects.filter(pk=number).first()
    if found is None:
        raise Http404(f"There is no alert rule {number}.")
    return found


def _href(alert: dict[str, Any]) -> str:
    return links.to("application" if alert["kind"] == "instance" else "lag-of", alert["application"])
