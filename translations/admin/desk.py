"""What the first page says of translations, and who may do what with them."""

from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django.utils.translation import gettext as _

from batches.admin.desk import Step, advises, counts
from batches.admin.display import link, number, up_to
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from batches.admin.subjects import may_see
from batches.models import Run
from translations.admin.coverage import URL_NAME
from translations.admin.review_queue import EDIT, PUBLISH, REVIEW, queue_url
from translations.admin.translate import PERMISSION
from translations.models import Translation, TranslationVersion
from translations.review.queue import to_review
from translations.workloads import TranslationWorkload

COUNTED = 10_000

ship(EDITOR, EDIT, *every(Translation, TranslationVersion, of=["view"]))
ship(REVIEWER, EDIT, REVIEW, PUBLISH)
ship(REVIEWER, *every(Translation, TranslationVersion, of=["view"]))
ship(REVIEWER, *every(Translation, of=["change"]))
ship(OPERATOR, PERMISSION, *every(Translation, TranslationVersion, of=["view"]))


def is_translated(model):
    """Whether translations of a model's rows are there, or on their way."""
    kind = ContentType.objects.get_for_model(model)
    return (
        Translation.objects.filter(content_type=kind).exists()
        or Run.objects.filter(workload=TranslationWorkload.key).exists()
    )


def number_to_review(request):
    """Counted once a request: two panels tell it."""
    if not hasattr(request, "number_to_review"):
        request.number_to_review = up_to(COUNTED, to_review())
    return request.number_to_review


@counts
def translations_to_review(request):
    if not may_see(request, Translation):
        return []
    waiting = link(queue_url(), number_to_review(request))
    return [(_("translations to review"), waiting)]


@counts
def languages_covered(request):
    if not may_see(request, Translation):
        return []
    url = reverse(f"admin:{URL_NAME}")
    return [(_("how far each language is"), link(url, _("Coverage")))]


@advises
def review(request):
    if not may_see(request, Translation) or number_to_review(request) == number(0):
        return None
    why = _("Translations to review: %(count)s.") % {"count": number_to_review(request)}
    return Step(why, queue_url(), _("Review translations"))
