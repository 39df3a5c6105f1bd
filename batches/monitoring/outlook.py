"""What an act would change, in words: for questions, answers to programs, commands."""

from collections.abc import Callable, Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.models.money import to_usd
from batches.services.budget import Purse
from batches.services.effects import Effect, Outlook
from batches.services.estimates import ENOUGH
from batches.services.prospects import Prospect
from batches.services.scopes import Verb

# Nano-dollars as this reader is to see them.
Money = Callable[[int], str]


def plain_money(nanos: int) -> str:
    return f"${to_usd(nanos):.4f}"


def in_words(verb: Verb, found: Outlook, money: Money = plain_money) -> str:
    """What an act would do, in sentences; one sentence where that is nothing."""
    sentences = list(SENTENCES[verb](found, money))
    return " ".join(sentences) or _("Nothing of it is open; nothing changes.")


def as_dict(found: Outlook) -> dict[str, int | str]:
    """The same for programs: items by how far they are, and dollars as text."""
    return {
        "items": found.items,
        "unsent_items": found.unsent.items,
        "unsent_usd": f"{to_usd(found.unsent.nanos):f}",
        "in_flight_items": found.in_flight.items,
        "in_flight_usd": f"{to_usd(found.in_flight.nanos):f}",
        "answered_items": found.answered,
        "beyond_items": found.beyond.items,
        "beyond_usd": f"{to_usd(found.beyond.nanos):f}",
    }


def cost_lines(
    found: Prospect, purse: Purse | None, money: Money = plain_money
) -> list[str]:
    """What requests would cost, and what is left to pay them; a sentence a line."""
    costs = found.costs
    if not found.items:
        return []
    probably = _("probably %(money)s, nine times of ten at most %(high)s") % {
        "money": money(costs.expected),
        "high": money(costs.high),
    }
    if costs.guessed:
        probably += _(
            " (a first guess for %(count)s of them: fewer than %(enough)s answers of "
            "their kind are known)"
        ) % {"count": f"{costs.guessed:,}", "enough": ENOUGH}
    elif costs.items:
        each = money(costs.expected // costs.items)
        probably += _("; %(money)s an item") % {"money": each}
    lines = [
        _("Tokens: %(input)s in, about %(output)s out.")
        % {"input": f"{costs.input_tokens:,}", "output": f"{costs.output_tokens:,}"},
        _("Cost: %(probably)s.") % {"probably": probably},
        _("Worst case, which is reserved: %(money)s.") % {"money": money(costs.worst)},
        _("The same in real time: probably %(money)s.")
        % {"money": money(costs.real_time)},
    ]
    if found.reused:
        lines.append(
            _("Answered before, at no cost: %(items)s of these.")
            % {"items": items_in_words(found.reused)}
        )
    if found.unpriced:
        lines.append(
            _("Without a price of their model, and not counted: %(items)s.")
            % {"items": items_in_words(found.unpriced)}
        )
    return [*lines, *cap_lines(purse, costs.worst)]


def cap_lines(purse: Purse | None, worst_nanos: int) -> list[str]:
    """What the tightest cap has left, and what to do where that is too little."""
    if purse is None:
        return []
    lines = [
        _("Left of %(cap)s: %(left)s.") % {"cap": purse.label, "left": purse.left_words}
    ]
    if worst_nanos > purse.left:
        lines.append(
            _(
                "Not all of it can go now: at worst it costs more. Raise %(what)s, or "
                "the rest waits."
            )
            % {"what": purse.limit.raise_what}
        )
    return lines


def cost_as_dict(found: Prospect, purse: Purse | None) -> dict[str, int | str | None]:
    """The same for programs, in the names of a plan."""
    costs = found.costs
    return {
        "input_tokens": costs.input_tokens,
        "output_tokens": costs.output_tokens,
        "expected_usd": f"{to_usd(costs.expected):f}",
        "high_usd": f"{to_usd(costs.high):f}",
        "worst_usd": f"{to_usd(costs.worst):f}",
        "real_time_usd": f"{to_usd(costs.real_time):f}",
        "guessed": costs.guessed,
        "reused": found.reused,
        "unpriced": found.unpriced,
        "cap": purse.label if purse else None,
        "cap_left_usd": f"{to_usd(max(purse.left, 0)):f}" if purse else None,
    }


def _pause(found: Outlook, money: Money) -> Iterator[str]:
    if found.unsent.items:
        yield _("%(items)s, at most %(money)s, are held.") % _told(found.unsent, money)
    if sent := _sent(found):
        yield _("What was sent goes on: %(items)s.") % {"items": items_in_words(sent)}


def _recall(found: Outlook, money: Money) -> Iterator[str]:
    if found.unsent.items:
        yield _("%(items)s, at most %(money)s, are held.") % _told(found.unsent, money)
    if found.in_flight.items:
        yield _(
            "%(items)s at the provider are called back; at most %(money)s is saved."
        ) % (_told(found.in_flight, money))
    if found.answered:
        yield _("%(items)s there are answered: they are paid for, and applied.") % {
            "items": items_in_words(found.answered)
        }
    if found.beyond.items:
        yield _("%(items)s are in jobs that other runs need, and go on there.") % {
            "items": items_in_words(found.beyond.items)
        }


def _resume(found: Outlook, money: Money) -> Iterator[str]:
    if found.unsent.items:
        yield _("%(items)s, at most %(money)s, go out.") % _told(found.unsent, money)


def _cancel(found: Outlook, money: Money) -> Iterator[str]:
    if found.unsent.items:
        yield _("%(items)s, at most %(money)s, end without being sent.") % (
            _told(found.unsent, money)
        )
    if found.in_flight.items:
        yield _(
            "%(items)s at the provider are cancelled there; at most %(money)s may be "
            "billed until it stops."
        ) % _told(found.in_flight, money)
    if found.answered:
        yield _(
            "%(items)s there are answered: they are paid for, and applied unless they "
            "are in a job with other runs."
        ) % {"items": items_in_words(found.answered)}
    if found.beyond.items:
        yield _(
            "%(items)s, at most %(money)s, are in jobs that other runs need, and go on "
            "there; their answers are kept, and not applied."
        ) % _told(found.beyond, money)


def _priority(found: Outlook, money: Money) -> Iterator[str]:
    if found.unsent.items:
        yield _("%(items)s, at most %(money)s, wait in the new order.") % _told(
            found.unsent, money
        )


SENTENCES: dict[Verb, Callable[[Outlook, Money], Iterator[str]]] = {
    "pause": _pause,
    "recall": _recall,
    "resume": _resume,
    "cancel": _cancel,
    "priority": _priority,
}


def _sent(found: Outlook) -> int:
    return found.in_flight.items + found.answered + found.beyond.items


def _told(effect: Effect, money: Money) -> dict[str, str]:
    return {"items": items_in_words(effect.items), "money": money(effect.nanos)}


def items_in_words(count: int) -> str:
    return ngettext("%(count)s item", "%(count)s items", count) % {
        "count": f"{count:,}"
    }
