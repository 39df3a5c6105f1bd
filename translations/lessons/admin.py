"""Courses, lessons and quizzes: content that people write here or import."""

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import PanelAdmin
from batches.admin.desk import Step, advises
from batches.admin.display import list_url, number
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from translations.admin import (
    ImportContentMixin,
    TranslateActionMixin,
    TranslationsLiveAdmin,
    is_translated,
)
from translations.lessons.models import Course, Lesson, Module, Quiz, QuizQuestion
from translations.lessons.proposals.admin import LessonSummaryAdmin, ProposalAdmin

__all__ = ["LessonSummaryAdmin", "ProposalAdmin"]  # found by importing them here

LONG_FIELDS = ("description", "body", "assignment_requirements")


class ContentAdmin(PanelAdmin):
    formfield_overrides = {
        models.URLField: {"assume_scheme": "https"},
        models.TextField: {"widget": AdminTextareaWidget(attrs={"dir": "auto"})},
    }

    def panels(self, request, row):
        return []


@admin.register(Course)
class CourseAdmin(ContentAdmin):
    list_display = ["title", "external_id", "category", "is_live", "content_ready"]
    list_filter = ["category", "is_live", "content_ready"]
    search_fields = ["^external_id", "^title"]


@admin.register(Module)
class ModuleAdmin(ContentAdmin):
    autocomplete_fields = ["course"]
    list_display = ["title", "course", "position"]
    list_select_related = ["course"]
    search_fields = ["^title", "^course__external_id"]


class LessonForm(forms.ModelForm):
    """Keeps apart what was never written (null) and what was left empty."""

    def clean(self):
        cleaned = super().clean()
        for name in ("description", "body"):
            if not cleaned.get(name) and self.initial.get(name) is None:
                cleaned[name] = None
        return cleaned


@admin.register(Lesson)
class LessonAdmin(
    ImportContentMixin, TranslateActionMixin, TranslationsLiveAdmin, ContentAdmin
):
    import_kind = "lessons"
    import_example = {
        "id": "lesson-1",
        "course_id": "course-1",
        "course_title": "Waalidnimo",
        "title": "Hurdada carruurta",
        "description": "Immisa saacadood ayuu ilmuhu seexdaa?",
        "body": "<p>Hurdo fiican waxay ka caawisaa ilmaha inuu koro.</p>",
        "format": "html",
        "source_language": "so",
        "position": 1,
    }
    form = LessonForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_form_template = "admin/batches/form_with_panels.html"
    autocomplete_fields = ["course", "module"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "title",
                    "description",
                    "body",
                    "body_format",
                    "source_language",
                    "lesson_type",
                    "updated_at",
                ]
            },
        ),
        (
            gettext_lazy("Where it stands"),
            {
                "classes": ["collapse"],
                "fields": ["course", "module", "external_id", "position", "is_free"],
            },
        ),
        (
            gettext_lazy("Media and assignment"),
            {
                "classes": ["collapse"],
                "fields": [
                    "duration",
                    "video_url",
                    "audio_url",
                    "voice_name",
                    "assignment_requirements",
                ],
            },
        ),
        (
            gettext_lazy("When it opens"),
            {
                "classes": ["collapse"],
                "fields": [
                    "unlock_type",
                    "unlock_date",
                    "unlock_days_after",
                    "is_live",
                    "live_url",
                    "live_date",
                    "live_timezone",
                ],
            },
        ),
    ]
    list_display = [
        "title",
        "external_id",
        "course",
        "lesson_type",
        "source_language",
        "position",
        "updated_at",
    ]
    list_filter = ["lesson_type", "source_language", "is_live"]
    list_select_related = ["course"]
    # By the keys of what rows are parts of, here and below, as the index goes: to put
    # them in the order of courses would look at every row.
    ordering = ["course_id", "position", "pk"]
    readonly_fields = ["updated_at"]
    search_fields = ["^external_id", "^title"]

    def get_fieldsets(self, request, obj=None):
        """All open on the page that adds one: course and id must be given there."""
        if obj:
            return self.fieldsets
        return [(name, {**told, "classes": []}) for name, told in self.fieldsets]

    def get_queryset(self, request):
        queryset = super().get_queryset(request)
        if request.resolver_match.url_name.endswith("_change"):
            return queryset
        return queryset.defer(*LONG_FIELDS)  # a body may be a book


@admin.register(Quiz)
class QuizAdmin(ContentAdmin):
    autocomplete_fields = ["lesson"]
    list_display = ["title", "external_id", "lesson", "passing_score", "position"]
    list_select_related = ["lesson"]
    ordering = ["lesson_id", "position", "pk"]
    search_fields = ["^external_id", "^title"]

    def get_queryset(self, request):
        of_lesson = [f"lesson__{name}" for name in LONG_FIELDS]
        return super().get_queryset(request).defer(*of_lesson)


@admin.register(QuizQuestion)
class QuizQuestionAdmin(ImportContentMixin, ContentAdmin):
    import_kind = "quizzes"
    import_example = {
        "id": "question-1",
        "lesson_id": "lesson-1",
        "quiz_title": "Hurdada",
        "question": "Immisa saacadood ayuu ilmuhu seexdaa?",
        "question_type": "multiple_choice",
        "options": ["11–14", "5–6"],
        "correct_answer": 0,
        "explanation": "Carruurtu waxay u baahan yihiin hurdo badan.",
    }
    autocomplete_fields = ["quiz"]
    list_display = ["__str__", "external_id", "quiz", "question_type", "difficulty"]
    list_filter = ["question_type", "difficulty"]
    list_select_related = ["quiz"]
    ordering = ["quiz_id", "position", "pk"]
    search_fields = ["^external_id", "^question"]


CONTENT = [Course, Module, Lesson, Quiz, QuizQuestion]
ship(EDITOR, *every(*CONTENT))
ship(REVIEWER, *every(*CONTENT))
ship(OPERATOR, *every(*CONTENT, of=["view"]))


@advises
def first_content(request):
    """For a site without lessons: import them; without translations: have them made."""
    if is_translated(Lesson):  # on most sites; so nothing else is asked
        return None
    lessons = admin.site.get_model_admin(Lesson)
    if not Lesson.objects.exists():
        if not lessons.has_import_permission(request):
            return None
        why = _("There are no lessons yet. Import them from a file, or write one.")
        return Step(why, lessons.import_url(), _("Import lessons"))
    if not lessons.has_translate_permission(request):
        return None
    why = _(
        "There are %(count)s lessons, and none was ever translated: tick some in the "
        "list and choose “Translate…”."
    )
    count = number(Lesson.objects.count())
    return Step(why % {"count": count}, list_url(Lesson), _("Choose lessons"))
