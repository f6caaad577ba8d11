"""Temporary."""
from django.http import HttpResponse

from console.access.policy import requires


@requires("read-status")
def later(request, **kw):
    return HttpResponse("later")
