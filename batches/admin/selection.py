"""Rows that somebody ticked, kept between the list and the page that asks "sure?".

They lie in the session under a random name: ten thousand keys fit into no address, and
more fields than Django takes would be needed to send them along. A page that was left
open longer than its session finds nothing here, and says so.
"""

import secrets

from django.contrib import messages
from django.utils.translation import gettext as _

NAME = "selections"
KEPT = 5  # the latest ones, for a person with several tabs


def keep(request, model, keys, **more):
    """Remember rows by key; returns the name to ask for them under."""
    name = secrets.token_urlsafe(12)
    kept = request.session.get(NAME, {})
    kept[name] = {
        "model": model._meta.label_lower,
        "keys": list(map(str, keys)),
        **more,
    }
    request.session[NAME] = dict(list(kept.items())[-KEPT:])
    return name


def kept(request, model, name):
    """What was kept under a name for this model; None where nothing is (any more)."""
    found = request.session.get(NAME, {}).get(name)
    if found is None or found["model"] != model._meta.label_lower:
        return None
    return found


def forget(request, name):
    """Whether this call removed it. Saved at once, before the work that follows it, so
    that a second click finds nothing to do again."""
    kept = request.session.get(NAME, {})
    if name not in kept:
        return False
    del kept[name]
    request.session[NAME] = kept
    request.session.save()
    return True


def say_it_is_gone(request):
    messages.warning(
        request,
        _(
            "This was done already, or the page has expired; nothing was changed now. "
            "Choose the rows again to go on."
        ),
    )
