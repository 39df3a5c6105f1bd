"""What the first page says of translations, and who may do what with them."""

from django.contrib.contenttypes.models import ContentType
from django.utils.translation import gettext as _

from batches.admin.desk import Step, advises, counts
from batches.admin.display import link, list_url, up_to
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from batches.admin.subjects import may_see
from batches.models import Run
from translations.admin.translate import PERMISSION
from translations.models import ReviewStatus, Translation, TranslationVersion
from translations.workloads import TranslationWorkload

COUNTED = 10_000

ship(EDITOR, *every(Translation, TranslationVersion, of=["view"]))
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


def to_review():
    return Translation.objects.filter(status=ReviewStatus.PENDING_REVIEW)


def number_to_review():
    return up_to(COUNTED, to_review())


def review_url():
    return list_url(Translation, status__exact=ReviewStatus.PENDING_REVIEW.value)


@counts
def translations_to_review(request):
    if not may_see(request, Translation):
        return []
    return [(_("translations to review"), link(review_url(), number_to_review()))]


@advises
def review(request):
    if not may_see(request, Translation) or not to_review().exists():
        return None
    why = _("Translations to review: %(count)s.") % {"count": number_to_review()}
    return Step(why, review_url(), _("Review translations"))
