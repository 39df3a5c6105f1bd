"""A text in two segments, and its latest version."""

BODY = "<p>Hooyo iyo aabo.</p><p>Sug 5 daqiiqo.</p>"
GOOD = ("الأم والأب.", "انتظر 5 دقائق.")


def latest_of(unit):
    unit.refresh_from_db()
    return unit.latest
