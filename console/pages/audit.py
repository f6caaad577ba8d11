"""The audit: who did what, from where, with which parameters and result. Searched in the database, newest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from console.access import audit_trail
from console.access.policy import requires
from console.observe import snapshot
from console.pages import copy_as, links, shell

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_PARAMETERS_CHARACTERS_MAX = 300


@requires("read-audit")
def audit(request: HttpRequest) -> HttpResponse:
    """Draw one page of entries."""
    asked = {name: request.GET.get(name, "").strip() for name in audit_trail.FILTERS}
    before = request.GET.get("before", "")
    found = audit_trail.read(asked, before=int(before) if before.isdecimal() and len(before) < 19 else None)  # noqa: PLR2004 - an int64
    given = {name: value for name, value in asked.items() if value}
    rows = [
        each
        | {
            "told": json.dumps(each["parameters"], ensure_ascii=False)[:_PARAMETERS_CHARACTERS_MAX]
            if each["parameters"]
            else "",
            "href": links.to("store", each["application"], each["store"]) if each["store"] else "",
        }
        for each in found["entries"]
    ]
    context = {
        "rows": rows,
        "asked": asked,
        "is_filtered": bool(given),
        "actions": audit_trail.actions(),
        "older": f"?{urlencode(given | {'before': str(found['next_before'])})}" if found["next_before"] else "",
        "copies": copy_as.read(request, "/api/v1/audit", given),
    }
    return shell.page(request, "pages/audit.html", snapshot.rail(), context, section="audit")
