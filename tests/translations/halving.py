"""Long bodies, answers to them that are cut off, and what comes of their halves."""

from batches.models import BatchItem, ItemAttempt, OpenItem
from batches.sandbox.responders.script import pseudo_text
from batches.services.collection import collect_run, start_run
from batches.services.recount import recount
from batches.states import RunStatus, Trigger
from tests.driving import work_off
from translations.models import Translation
from translations.segments import (
    join_pieces,
    segments_of,
    split_text,
)

HTML = """\
<h2>Maxay ku saabsan tahay?</h2>
<p>Ilmahaagu wuxuu u baahan yahay <strong>dhegaysi</strong>, ee maaha canaan.
Akhri <a href="/buug?a=1&amp;b=2" title="Buugga waalidka">buugga</a> marka hore.</p>
<ul class="talo"><li>Fadhiiso agtiisa oo eeg</li><li>Su'aal <em>hal mar</em> weydii
<ol><li>Sug jawaabta</li><li>Ku celi <code>hadalkiisa</code></li></ol></li></ul>
<table><tr><th>Da'da</th><th>Hurdada</th></tr>
<tr><td>Laba sano</td><td>12 saacadood</td></tr></table>
<pre>waa kood</pre><img src="/a.png" alt="Hooyo iyo ilmaheeda">
<p>Maalin kasta waxaa jirta fursad cusub.</p>
"""
MARKDOWN = """\
# Cuntada carruurta

Ilmuhu wuxuu cunaa **waxa uu arko**, ee maaha waxa [loo sheego](https://a.example/x).

- Biyo badan sii
- Miro kala duwan
  1. Tufaax la jarjaray
  2. Muus

| Da'da | Talo |
|-------|------|
| Laba sano | Caano iyo `rooti` |

> Ha ku qasbin inuu cuno.
> Sug oo isku day mar kale.

```
kood
```

Dhammaad wanaagsan.
"""
TEXT = "Salaan, waalid.\r\n\r\nWaan ku faraxnay imaatinkaaga.\nMaamulka iskuulka\n"
BODIES = [("html", HTML), ("markdown", MARKDOWN), ("text", TEXT)]
LONG = "".join(f"<p>{n}. {'Hooyo macaan. ' * 60}</p>" for n in range(6))


def collect(**options):
    """A run over the bodies of all lessons, collected."""
    given = {
        "languages": ["ar"],
        "content": ["translations_lessons.lesson"],
        "fields": ["body"],
    }
    run = start_run("translation", given | options, trigger=Trigger.COMMAND)
    collect_run(run)
    return run


def item_of(target):
    return BatchItem.objects.get(target=target)


def cut_off(sandbox, *items, times=2):
    """Have the next answers to each of these items cut off at their limit."""
    keys = [str(item.pk) for item in items]
    fault = {"rate": 1.0, "custom_ids": keys, "times": times * len(keys)}
    sandbox.faults(truncated_answers=fault)


def refuse(sandbox, *items):
    """Have these items fail for good."""
    keys = [str(item.pk) for item in items]
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400, "custom_ids": keys})


def work_until_split(target):
    """Work until what this target came to as halves waits."""
    work_off(until=OpenItem.objects.filter(target=target).exists)


def body_unit():
    return Translation.objects.get(field="body")


def pseudo(text, format="html"):
    """What the sandbox makes of a whole text that it has no sample of."""
    pieces = split_text(text, format)
    answers = {s.id: pseudo_text(s.text, "ar") for s in segments_of(pieces)}
    return join_pieces(pieces, answers)


def check_figures(run, *, follow_ups):
    """The run is done, and everything that was billed is in its figures."""
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert sum(share.follow_ups for share in run.shares.all()) == follow_ups
    costs = ItemAttempt.objects.filter(item__run=run).values_list("cost_nanos")
    assert sum(cost for (cost,) in costs) == sum(
        share.cost_nanos for share in run.shares.all()
    )
    assert recount(repair=False) == []
