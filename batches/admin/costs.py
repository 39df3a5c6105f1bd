"""What requests come to, as people are shown it before they agree."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.admin.display import cost, number
from batches.models.money import to_usd
from batches.providers.registry import active_provider
from batches.services.estimates import ENOUGH


def cost_facts(costs):
    """(label, value) of tokens and of the price, from the probable to the worst."""
    provider = active_provider()
    tokens = _("%(input)s in, about %(output)s out") % {
        "input": number(costs.input_tokens),
        "output": number(costs.output_tokens),
    }
    return [
        (_("tokens"), tokens),
        (_("cost, probably"), cost(to_usd(costs.expected), provider)),
        (_("nine times of ten at most"), cost(to_usd(costs.high), provider)),
        (_("worst case, reserved"), cost(to_usd(costs.worst), provider)),
        (_("in real time"), cost(to_usd(costs.real_time), provider)),
    ]


def cost_notes(costs):
    """How far the figures can be trusted; what one costs where that is known."""
    if costs.guessed:
        text = ngettext(
            "For %(count)s request the probable cost is a first guess: fewer than "
            "%(enough)s answers of its kind are known.",
            "For %(count)s requests the probable cost is a first guess: fewer than "
            "%(enough)s answers of their kind are known.",
            costs.guessed,
        )
        return [text % {"count": number(costs.guessed), "enough": ENOUGH}]
    if not costs.items:
        return []
    each = cost(to_usd(costs.expected // costs.items), active_provider())
    return [_("That is %(each)s for one request.") % {"each": each}]
