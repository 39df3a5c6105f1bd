"""Words through the whole pipeline: what goes out, what comes back, what is kept."""

import csv
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from django.core.management import CommandError, call_command

from batches.errors import BadOptions
from batches.models import BatchItem, ItemRequest, JobSize, OpenItem
from batches.services.collection import collect_run, plan_run, start_run
from batches.services.recount import recount
from batches.states import ItemStatus, RunStatus, Trigger
from batches.workloads import Answer, get_workload
from tests.driving import work_off
from translations.dictionary.definitions import DefinitionsUnavailable
from translations.dictionary.features import FEATURES
from translations.dictionary.models import Entry, FeatureAnswer, Word, WordStatus
from translations.dictionary.prompt import grouped
from translations.dictionary.shapes import Cluster

pytestmark = pytest.mark.django_db

HERE = Path(__file__).parent
GOOD = json.loads((HERE / "example_outputs.jsonl").read_text().splitlines()[0])[
    "output"
]


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()  # whitenoise warns where it is not there
    settings.CACHE_DIR = tmp_path / "cache"
    settings.DEFINITIONS_FILE = settings.DEFINITIONS_URL = ""


def ask(workload="dictionary", **options):
    """A run, collected."""
    run = start_run(workload, options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    run.refresh_from_db()
    return run


def sent(item):
    """What the user message of an item's request says."""
    body = json.loads(ItemRequest.objects.get(item=item).body)
    return json.loads(body["messages"][1]["content"])


def test_words_asked_for_by_name_get_entries_that_are_kept(sandbox):
    run = ask(
        words=["Serendipity", "ephemeral", "quintessential", "xqzt99", "ephemeral"]
    )
    work_off()

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert run.subjects_collected == 3
    assert list(run.skipped) == [
        "'xqzt99': it has other characters than letters, apostrophes and hyphens"
    ]
    word = Word.objects.get(pk="en:serendipity")
    assert word.zipf > 2
    assert word.entry.content["headword"]
    assert word.entry.is_sandbox
    assert [finding["code"] for finding in word.entry.findings] == ["sandbox_text"]
    assert recount(repair=False) == []


def test_what_is_current_is_not_asked_again_unless_that_is_asked(sandbox):
    ask(words=["patience"])
    work_off()

    assert ask(words=["patience"]).items_collected == 0
    assert ask(words=["patience"], redo=True).items_collected == 1
    work_off()
    assert Word.objects.get().entries_made == 2
    assert Entry.objects.count() == 2


def test_a_pretended_entry_is_missing_once_a_real_provider_answers(sandbox, settings):
    ask(words=["patience"])
    work_off()

    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = "sk-test"

    assert plan_run("dictionary", {"words": ["patience"]}).items == 1


def make_words(*texts, **fields):
    return [
        Word.objects.create(
            key=f"en:{text}",
            language="en",
            text=text,
            forms={text: 1},
            source_hash=text,
            commonness=number,
            **fields,
        )
        for number, text in enumerate(texts)
    ]


def test_without_names_the_commonest_kept_words_come_first_page_by_page(sandbox):
    make_words("tantrum", "bank", "patience")
    make_words("rare", status=WordStatus.REJECTED, reason="rare")
    workload = get_workload("dictionary")
    options = workload.read_options({})

    first = workload.subjects(options, "", 2)
    second = workload.subjects(options, first.cursor, 2)

    assert [subject.object_id for subject in first.subjects] == [
        "en:patience",
        "en:bank",
    ]
    assert [subject.object_id for subject in second.subjects] == ["en:tantrum"]
    assert second.cursor is None


def test_a_word_whose_forms_changed_is_out_of_date(sandbox):
    (word,) = make_words("bank")
    ask()
    work_off()
    word.refresh_from_db()
    assert not word.is_stale

    Word.objects.update(source_hash="another")

    word.refresh_from_db()
    assert word.is_stale
    assert ask().items_collected == 1


def definitions_file(settings, tmp_path, *rows):
    path = tmp_path / "definitions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings.DEFINITIONS_FILE = str(path)


BANK = ["an institution for money", "the land beside a river"]


def test_given_definitions_are_grouped_before_the_entry_is_written(
    sandbox, settings, tmp_path
):
    row = {"word": "bank", "language": "en", "definitions": BANK}
    definitions_file(settings, tmp_path, row)

    run = ask(words=["bank", "patience"])
    assert set(OpenItem.objects.values_list("target", flat=True)) == {
        "clusters",
        "entry",
    }
    work_off()

    first = BatchItem.objects.get(run=run, target="clusters")
    then = BatchItem.objects.get(run=run, parent=first)
    assert sent(first)["definitions"] == BANK
    assert then.target == "entry"
    said = [text for one in sent(then)["clusters"] for text in one["definitions"]]
    assert sorted(said) == sorted(BANK)
    assert Word.objects.get(pk="en:bank").entry.item_id == then.pk
    assert Entry.objects.count() == 2
    assert recount(repair=False) == []


def test_clusters_hold_each_definition_once_whatever_the_model_says():
    clusters = [
        Cluster(id="money", description="", definitions=[0, 0, 9, -1]),
        Cluster(id="again", description="", definitions=[0]),
    ]

    assert grouped(clusters, BANK) == [
        {"id": "money", "description": "", "definitions": [BANK[0]]},
        {"id": "other", "description": "", "definitions": [BANK[1]]},
    ]


def test_a_bad_line_of_definitions_is_named_and_nothing_is_asked(
    sandbox, settings, tmp_path
):
    definitions_file(settings, tmp_path, {"word": "bank"})

    with pytest.raises(DefinitionsUnavailable, match="line 1.*word, language and"):
        ask(words=["bank"])
    assert BatchItem.objects.count() == 0


class Definitions(BaseHTTPRequestHandler):
    """Knows `bank`; counts what it is asked, and is out of order when told to be."""

    asked: list[str] = []
    is_broken = False

    def do_GET(self):
        self.asked.append(self.path)
        status = 500 if self.is_broken else 200 if "bank" in self.path else 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"definitions": BANK}).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def definitions_server(settings) -> Iterator[type[Definitions]]:
    Definitions.asked, Definitions.is_broken = [], False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Definitions)
    Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    settings.DEFINITIONS_URL = f"http://127.0.0.1:{port}/{{language}}/{{word}}"
    yield Definitions
    server.shutdown()
    server.server_close()


def test_definitions_over_http_are_asked_once_and_kept_on_disk(
    sandbox, definitions_server
):
    for _ in range(2):
        plan_run("dictionary", {"words": ["bank", "patience"]})

    assert sorted(definitions_server.asked) == ["/en/bank", "/en/patience"]
    assert plan_run("dictionary", {"words": ["bank"]}).items == 1
    run = ask(words=["bank"])
    assert sent(BatchItem.objects.get(run=run))["definitions"] == BANK


def test_a_run_waits_while_definitions_cannot_be_had(sandbox, definitions_server):
    definitions_server.is_broken = True
    run = start_run("dictionary", {"words": ["bank"]}, trigger=Trigger.COMMAND)

    with pytest.raises(DefinitionsUnavailable, match="no definitions of 'bank'"):
        collect_run(run)

    definitions_server.is_broken = False
    assert collect_run(run) == 1


def judged(**changes):
    """The verdict on an answer for `patience`."""
    workload = get_workload("dictionary")
    page = workload.subjects(workload.read_options({"words": ["patience"]}), "", 10)
    (target,) = workload.targets(page.subjects[0], workload.read_options({}))
    request = workload.build_request(
        page.subjects[0], target, workload.read_options({}), workload.prompt
    )
    text = json.dumps(GOOD | changes)
    answer = Answer(
        1, "openai", "gpt", False, text, context=json.dumps(request.context)
    )
    (verdict,) = workload.judge([answer])
    return verdict


def test_a_good_answer_passes_a_bad_one_is_kept_with_its_findings():
    good, bad = judged(), judged(headword="patient")

    assert (good.errors, good.result.findings) == ("", [])
    assert bad.error_code == ""
    assert bad.errors == "headword_mismatch"
    assert judged(is_word="perhaps").error_code == "schema_mismatch"


def test_what_is_stored_is_of_the_shape_that_was_agreed():
    verdict = judged()
    verdict.answer.object_id = "en:patience"

    assert get_workload("dictionary").store([verdict]) == []

    entry = Entry.objects.get()
    assert entry.content == GOOD
    assert (entry.score, entry.errors, entry.is_sandbox) == (100, 0, False)


def test_each_run_has_its_own_answer_to_every_feature(sandbox):
    runs = [
        ask("word_features", words=["bank", "run"], features=list(FEATURES))
        for _ in range(2)
    ]
    work_off()

    for run in runs:
        run.refresh_from_db()
        items = BatchItem.objects.filter(run=run)
        assert items.count() == 14
        assert set(items.values_list("status", flat=True)) == {ItemStatus.COMPLETE}
        told = FeatureAnswer.objects.filter(item__in=items)
        assert {one.feature for one in told} == FEATURES.keys()
    told = FeatureAnswer.objects.filter(feature="difficulty_level").first()
    assert told.content["level"] == "beginner"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"features": ["etymology"]}, "at least one word"),
        ({"words": ["run"]}, "at least one feature"),
        ({"words": ["run"], "features": ["poem"]}, "'poem'"),
        ({"words": [" "], "features": ["etymology"]}, "' ' is no word"),
        ({"words": ["a" * 65], "features": ["etymology"]}, "1 to 64 letters"),
    ],
)
def test_what_cannot_be_asked_of_words_is_refused(options, says):
    with pytest.raises(BadOptions, match=says):
        start_run("word_features", options, trigger=Trigger.COMMAND)


def process(*arguments):
    out = io.StringIO()
    call_command("process", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_process_filters_has_entries_written_and_hands_them_out(sandbox, tmp_path):
    said = json.loads(
        process(
            f"--words-file={HERE / 'words.csv'}",
            "--words=3",
            "--batch-size=500",
            f"--output-dir={tmp_path / 'out'}",
            "--json",
        )
    )

    assert (said["words"], said["complete"], said["status"]) == (3, 3, "completed")
    assert JobSize.objects.get(pk="dictionary").size >= 500
    assert Word.objects.get(text="children").headword == "child"
    assert Word.objects.get(text="xqzt99").reason == "characters"
    (place,) = (tmp_path / "out").glob("run_*")
    (requests,) = place.glob("batch_*_input.jsonl")
    (answers,) = place.glob("batch_*_output.jsonl")
    sent, answered = (
        [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]
        for path in (requests, answers)
    )
    assert sent == answered
    assert len(sent) == 3
    assert len((place / "entries.jsonl").read_text().splitlines()) == 3
    state = json.loads((place.parent / "batch_scheduler_state.json").read_text())
    assert (state["words_processed"], state["active_jobs"]) == (3, 0)
    assert state["last_run_status"] == "completed"
    assert not list((tmp_path / "out").rglob("*.part"))


def test_process_takes_only_unprocessed_words_unless_forced(sandbox):
    words = f"--words-file={HERE / 'words.csv'}"
    first = json.loads(process(words, "--json"))

    assert first["words"] > 5
    assert "Nothing to do" in process(words)
    assert (
        json.loads(process(words, "--force-refresh", "--json"))["words"]
        == (first["words"])
    )


def test_another_preset_brings_a_rejected_word_back(sandbox, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("kindly\nkind\n")
    process(f"--words-file={path}", "--filter-preset=aggressive", "--no-wait")
    assert Word.objects.get(text="kindly").status == WordStatus.REJECTED

    process(f"--words-file={path}", "--filter-preset=conservative", "--no-wait")

    assert Word.objects.get(text="kindly").status == WordStatus.KEPT


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--filter-preset=strict"], "no preset 'strict'"),
        (["--batch-size=50"], "500 to 2000"),
        (["--words-file=nowhere.csv"], "nowhere.csv cannot be read"),
        (["--budget=much"], "'much' is no amount"),
    ],
)
def test_process_says_what_it_cannot_do(sandbox, arguments, says):
    words = f"--words-file={HERE / 'words.csv'}"
    with pytest.raises(CommandError, match=says):
        process(words, *arguments)
    assert BatchItem.objects.count() == 0


def test_filter_words_prints_its_steps(capsys):
    call_command("filter_words", "--limit=100", "--json")
    said = json.loads(capsys.readouterr().out)

    assert said["raw"] == 100
    assert said["kept"] == said["steps"][-1]["left"]
    call_command("filter_words", f"--words-file={HERE / 'words.csv'}")
    out = capsys.readouterr().out
    assert "are kept" in out
    assert "patience" in out
    assert not Word.objects.exists()


def test_exports_have_no_formulas(admin_client):
    Word.objects.create(
        key="en:#1",
        language="en",
        text="=HYPERLINK(1)",
        status=WordStatus.REJECTED,
        reason="characters",
    )
    data = {"action": "export_csv", "_selected_action": ["en:#1"]}

    answer = admin_client.post("/admin/translations_dictionary/word/", data)

    text = b"".join(answer.streaming_content).decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["text"] == "'=HYPERLINK(1)"
    data["action"] = "export_jsonl"
    answer = admin_client.post("/admin/translations_dictionary/word/", data)
    assert json.loads(b"".join(answer.streaming_content))["text"] == "=HYPERLINK(1)"


def test_the_pages_of_words_show_entries_and_escape_them(
    sandbox, admin_client, django_assert_max_num_queries
):
    verdict = judged(meanings=[GOOD["meanings"][0] | {"definition": "<b>calm</b> now"}])
    verdict.answer.object_id = "en:patience"
    get_workload("dictionary").store([verdict])
    make_words(*"bcdefghij", status=WordStatus.REJECTED, reason="single_letter")
    ask("word_features", words=["run"], features=["etymology"])
    work_off()
    base = "/admin/translations_dictionary"
    entry, told = Entry.objects.get(), FeatureAnswer.objects.get()

    with django_assert_max_num_queries(12):
        listed = admin_client.get(f"{base}/word/?q=pati").content.decode()
    assert "entry 1" in listed
    for page in (
        "word/?status=rejected&reason=single_letter",
        "word/en_3Apatience/change/",
        "word/en_3Ab/change/",
        "entry/",
        "entry/?word=en:patience",
        f"entry/{entry.pk}/change/",
        "featureanswer/",
        f"featureanswer/{told.pk}/change/",
    ):
        answer = admin_client.get(f"{base}/{page}")
        assert answer.status_code == 200, page
        assert "<b>calm" not in answer.content.decode()
    page = admin_client.get(f"{base}/word/en_3Apatience/change/").content.decode()
    assert "&lt;b&gt;calm" in page
    assert "ˈpeɪʃəns" in page
    assert 'dir="rtl"' in page
