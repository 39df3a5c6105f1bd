"""Who may do what: each operation of the API and each page, in one table.

`permission_rows` makes rows of it, and `docs/roles.md` is printed from them. The tests
take the addresses from the URL resolver, miss no row, and hold a real request of every
caller against every cell.
"""

from dataclasses import dataclass
from enum import StrEnum

from batches.api.auth import Circle
from batches.models.api_key import Scope
from batches.services.roles import Role


class Outcome(StrEnum):
    """What a caller meets: the thing itself, or which refusal."""

    ALLOWED = "yes"
    SIGN_IN = "sign in"  # led to the sign-in page
    UNKNOWN = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    UNSIGNED = "400"  # told from others by a signature


ROLES = tuple(Role)
KEY = "key"  # of any scope, where a person's page is asked for
ANONYMOUS, USER, STAFF = Role.ANONYMOUS, Role.USER, Role.STAFF
EDITOR, REVIEWER = Role.EDITOR, Role.REVIEWER
OPERATOR, AUDITOR, SUPERUSER = Role.OPERATOR, Role.AUDITOR, Role.SUPERUSER

Roles = frozenset[Role]


def only(*roles: Role) -> Roles:
    """These, and superusers."""
    return frozenset({*roles, SUPERUSER})


ANYBODY: Roles = frozenset(ROLES)
SIGNED_IN: Roles = ANYBODY - {ANONYMOUS}
ANY_STAFF: Roles = SIGNED_IN - {USER}
MEMBERS = only(EDITOR, REVIEWER, OPERATOR, AUDITOR)  # of any group
ENGINE = only(OPERATOR, AUDITOR)  # who follows the work
DESK = only(EDITOR, REVIEWER)  # who looks after the content
AUDITED = only(AUDITOR)
NOBODY: Roles = frozenset()


# --- the API --------------------------------------------------------------------------

# Which sessions have a scope, where a family lets staff in.
HOLDERS: dict[Scope, Roles] = {
    Scope.READ: ANY_STAFF,
    Scope.READ_CONTENT: ANY_STAFF,
    Scope.SUBMIT: only(STAFF, OPERATOR),
    Scope.OPERATE: only(STAFF, OPERATOR),
    Scope.ADMIN: only(STAFF, OPERATOR),
}


@dataclass(frozen=True)
class Door:
    """What an operation asks of its callers.

    `is_of_others` says that the row is asked for by somebody whose it is not.
    """

    circle: Circle
    scope: Scope
    is_of_others: bool = False

    def cells(self) -> dict[str, Outcome]:
        sessions = {role.value: self.for_session(role) for role in ROLES}
        return sessions | {scope.value: self.for_key(scope) for scope in Scope}

    def for_session(self, role: Role) -> Outcome:
        if role is ANONYMOUS or (role is USER and self.circle is Circle.ACADEMY):
            return Outcome.UNKNOWN
        if self.circle is Circle.USERS:
            return self._let_in()
        if self.circle is Circle.AUDITORS:
            return self._let_in() if role in AUDITED else Outcome.FORBIDDEN
        if self.circle is Circle.PLATFORM:
            return self._let_in() if role is SUPERUSER else Outcome.FORBIDDEN
        return self._let_in() if role in HOLDERS[self.scope] else Outcome.FORBIDDEN

    def for_key(self, scope: Scope) -> Outcome:
        """Of a key whose owner may come in."""
        is_enough = scope in (self.scope, Scope.ADMIN) or self.scope is Scope.READ
        return self._let_in() if is_enough else Outcome.FORBIDDEN

    def _let_in(self) -> Outcome:
        return Outcome.NOT_FOUND if self.is_of_others else Outcome.ALLOWED


def academy(scope: Scope) -> Door:
    return Door(Circle.ACADEMY, scope)


def staff(scope: Scope) -> Door:
    return Door(Circle.STAFF, scope)


def own(scope: Scope, *, is_of_others: bool = False) -> Door:
    return Door(Circle.USERS, scope, is_of_others)


PLATFORM = Door(Circle.PLATFORM, Scope.ADMIN)
AUDITORS = Door(Circle.AUDITORS, Scope.ADMIN)

JOB = "<uuidstr:public_id>"
RUN = "<uuidstr:job_id>"
CONTENT = "<kind>/<path:external_id>"

OPERATIONS: dict[str, Door] = {
    "GET api/admin/audit": AUDITORS,
    "GET api/admin/audit/export": AUDITORS,
    "GET api/admin/batch-jobs": academy(Scope.READ),
    "GET api/admin/batch-jobs/stats": academy(Scope.READ),
    f"GET api/admin/batch-jobs/{JOB}": academy(Scope.READ),
    "POST api/admin/batch-jobs/translation": academy(Scope.SUBMIT),
    "POST api/admin/batch-jobs/summary": academy(Scope.SUBMIT),
    "POST api/admin/batch-jobs/quiz-improvement": academy(Scope.SUBMIT),
    "POST api/admin/batch-jobs/check-all-status": academy(Scope.OPERATE),
    f"POST api/admin/batch-jobs/{JOB}/check-status": academy(Scope.OPERATE),
    f"POST api/admin/batch-jobs/{JOB}/process-results": academy(Scope.OPERATE),
    f"POST api/admin/batch-jobs/{JOB}/cancel": academy(Scope.OPERATE),
    "POST api/admin/steering": academy(Scope.OPERATE),
    "GET api/admin/batch-monitoring": staff(Scope.READ),
    "GET api/admin/batch-monitoring/errors": staff(Scope.READ),
    "GET api/admin/batch-monitoring/slow-jobs": staff(Scope.READ),
    "GET api/admin/batch-monitoring/batch-sizes": staff(Scope.READ),
    "GET api/admin/batch-monitoring/job-types": staff(Scope.READ),
    "GET api/admin/batch-monitoring/limits": staff(Scope.READ),
    "GET api/admin/batch-monitoring/export": staff(Scope.READ),
    "GET api/admin/batch-monitoring/alerts": staff(Scope.READ),
    "POST api/admin/batch-monitoring/alerts": staff(Scope.ADMIN),
    "GET api/admin/batch-monitoring/config": staff(Scope.READ),
    "PUT api/admin/batch-monitoring/config": staff(Scope.ADMIN),
    f"POST api/admin/batch-monitoring/{JOB}/retry": staff(Scope.OPERATE),
    f"POST api/admin/batch-monitoring/{JOB}/pause": staff(Scope.OPERATE),
    f"POST api/admin/batch-monitoring/{JOB}/resume": staff(Scope.OPERATE),
    f"POST api/admin/batch-monitoring/{JOB}/cancel": staff(Scope.OPERATE),
    f"POST api/admin/batch-monitoring/{JOB}/priority": staff(Scope.OPERATE),
    "GET api/admin/legacy/summary": PLATFORM,
    "GET api/admin/legacy/requests": PLATFORM,
    "POST api/admin/legacy/requests/requeue": PLATFORM,
    "POST api/chats": academy(Scope.SUBMIT),
    "POST api/chats/analysis": academy(Scope.SUBMIT),
    "GET api/chats/<path:session_id>": academy(Scope.READ_CONTENT),
    "GET api/v1/ai/batch": own(Scope.READ),
    "POST api/v1/ai/batch": own(Scope.SUBMIT),
    "GET api/v1/ai/batch/stats": own(Scope.READ),
    "GET api/v1/ai/batch/metrics": own(Scope.READ),
    f"GET api/v1/ai/batch/{RUN}": own(Scope.READ, is_of_others=True),
    f"DELETE api/v1/ai/batch/{RUN}": own(Scope.OPERATE, is_of_others=True),
    f"GET api/v1/ai/batch/{RUN}/events": own(Scope.READ, is_of_others=True),
    f"GET api/content/{CONTENT}": academy(Scope.READ_CONTENT),
    f"PUT api/content/{CONTENT}": academy(Scope.SUBMIT),
    "GET api/content/<kind>": academy(Scope.READ_CONTENT),
    "GET api/translations/coverage": academy(Scope.READ),
}

# The same for all who call.
ALIKE: dict[str, Outcome] = {
    "POST api/webhooks/openai": Outcome.UNSIGNED,
    "GET api/": Outcome.NOT_FOUND,
    "GET ^api(?:/|$)": Outcome.NOT_FOUND,
}

# --- the admin's pages of rows --------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """Who sees a model's rows and their history, and who writes them."""

    see: Roles
    add: Roles = NOBODY
    change: Roles = NOBODY
    delete: Roles = NOBODY


def kept_by(*roles: Role, see: Roles) -> Shown:
    """These add, change and delete."""
    return Shown(see, only(*roles), only(*roles), only(*roles))


MODELS: dict[str, Shown] = {
    "auth.group": kept_by(see=AUDITED),
    "auth.user": kept_by(see=AUDITED),
    "batches.alert": Shown(ENGINE),
    "batches.answerlength": Shown(ENGINE),
    "batches.apikey": Shown(AUDITED),
    "batches.auditentry": Shown(AUDITED),
    "batches.batchitem": Shown(ENGINE),
    "batches.batchjob": Shown(ENGINE),
    "batches.cap": kept_by(OPERATOR, see=ENGINE),
    "batches.configoverride": kept_by(OPERATOR, see=ENGINE),
    "batches.event": Shown(ENGINE),
    "batches.goldencase": Shown(ENGINE, delete=only(OPERATOR)),
    "batches.hold": Shown(ENGINE, add=only(OPERATOR)),
    "batches.hourlyusage": Shown(ENGINE),
    "batches.installation": Shown(AUDITED),
    "batches.itemattempt": Shown(ENGINE),
    "batches.itemrequest": Shown(ENGINE),
    "batches.jobshare": Shown(ENGINE),
    "batches.jobtally": Shown(ENGINE),
    "batches.openitem": Shown(ENGINE),
    "batches.price": kept_by(OPERATOR, see=ENGINE),
    "batches.promptversion": Shown(ENGINE, add=only(OPERATOR)),
    "batches.providerstate": Shown(ENGINE),
    "batches.receivedwebhook": Shown(ENGINE),
    "batches.run": Shown(ENGINE),
    "batches.runtemplate": kept_by(OPERATOR, see=ENGINE),
    "batches.strayline": Shown(ENGINE),
    "batches.webhookdelivery": Shown(ENGINE),
    "batches.webhookendpoint": kept_by(OPERATOR, see=ENGINE),
    "django_q.failure": Shown(AUDITED, change=only(), delete=only()),
    "django_q.ormq": Shown(AUDITED, change=only(), delete=only()),
    "django_q.schedule": kept_by(see=AUDITED),
    "django_q.success": Shown(AUDITED, change=only(), delete=only()),
    "translations.digestchoice": kept_by(see=AUDITED),
    "translations.glossaryterm": kept_by(REVIEWER, see=MEMBERS),
    "translations.translation": Shown(MEMBERS),
    "translations.translationversion": Shown(MEMBERS),
    "translations_chats.analysis": Shown(MEMBERS),
    "translations_chats.chatsession": Shown(MEMBERS),
    "translations_chats.question": Shown(MEMBERS),
    "translations_dictionary.entry": Shown(MEMBERS),
    "translations_dictionary.featureanswer": Shown(MEMBERS),
    "translations_dictionary.word": Shown(MEMBERS),
    "translations_files.requestfile": Shown(ENGINE, delete=only(OPERATOR)),
    "translations_lessons.course": kept_by(EDITOR, REVIEWER, see=MEMBERS),
    "translations_lessons.lesson": kept_by(EDITOR, REVIEWER, see=MEMBERS),
    "translations_lessons.lessonsummary": Shown(MEMBERS),
    "translations_lessons.module": kept_by(EDITOR, REVIEWER, see=MEMBERS),
    "translations_lessons.proposal": Shown(MEMBERS),
    "translations_lessons.quiz": kept_by(EDITOR, REVIEWER, see=MEMBERS),
    "translations_lessons.quizquestion": kept_by(EDITOR, REVIEWER, see=MEMBERS),
}

# --- what is done to rows, after a question -------------------------------------------

ACT = "<slug:name>/<str:token>/sure/"

ACTS: dict[str, dict[str, Roles]] = {
    "batches.batchitem": {"reapply": only(OPERATOR)},
    "batches.batchjob": dict.fromkeys(
        (
            "submit",
            "pause",
            "recall",
            "resume",
            "check_status",
            "process_results",
            "retry",
            "reapply",
            "cancel",
            "abandon",
        ),
        only(OPERATOR),
    ),
    "batches.hold": dict.fromkeys(("lift", "recall"), only(OPERATOR)),
    "batches.promptversion": dict.fromkeys(("promote", "roll_back"), only(OPERATOR)),
    "batches.run": dict.fromkeys(
        (
            "pause",
            "recall",
            "resume",
            "priority_low",
            "priority_normal",
            "priority_high",
            "retry",
            "reapply",
            "cancel",
        ),
        only(OPERATOR),
    ),
    "batches.webhookdelivery": {"send_again": only(OPERATOR)},
    "translations_dictionary.entry": dict.fromkeys(
        ("approve_entry", "publish_entry", "unpublish_entry", "reject_entry"),
        only(REVIEWER),
    ),
    "translations_lessons.proposal": dict.fromkeys(
        ("apply", "reject", "revert"), only(REVIEWER)
    ),
}

# --- pages of their own ---------------------------------------------------------------

OBJECT = "<path:object_id>"
PROMPTS = "admin/batches/promptversion"
FILES = "admin/translations_files/requestfile"
UNITS = "admin/translations/translation"
LESSONS = "admin/translations_lessons/lesson"

PAGES: dict[str, Roles] = {
    "GET ": ANYBODY,
    "GET admin/login/": ANYBODY,
    "POST admin/logout/": ANYBODY,
    "GET second-factor/": SIGNED_IN,
    "GET my/": SIGNED_IN,
    "GET my/live/": SIGNED_IN,
    "GET my/sign-in/": ANYBODY,
    "GET my/password/": SIGNED_IN,
    "GET my/keys/": SIGNED_IN,
    "POST my/keys/": SIGNED_IN,
    "GET my/words/": SIGNED_IN,
    "GET admin/": ANY_STAFF,
    "GET admin/password_change/": ANY_STAFF,
    "GET admin/password_change/done/": ANY_STAFF,
    "GET admin/jsi18n/": ANY_STAFF,
    "GET admin/autocomplete/": NOBODY,  # no form has such a field
    "GET admin/auth/user/<id>/password/": only(),
    "GET api/docs": ANY_STAFF,
    "GET api/openapi.json": ANY_STAFF,
    f"GET admin/batches/batchjob/{OBJECT}/live/": ENGINE,
    f"GET admin/batches/hold/{OBJECT}/live/": ENGINE,
    f"GET admin/batches/run/{OBJECT}/live/": ENGINE,
    "GET admin/batches/hourlyusage/cost/": ENGINE,
    "GET admin/batches/auditentry/export/": AUDITED,
    f"GET {PROMPTS}/compare/": ENGINE,
    f"GET {PROMPTS}/<int:pk>/golden/": ENGINE,
    f"POST {PROMPTS}/<int:pk>/golden/": only(OPERATOR),
    f"GET {PROMPTS}/<int:pk>/request/": ENGINE,
    f"POST {PROMPTS}/<int:pk>/weight/": only(OPERATOR),
    "GET admin/batches/runtemplate/<int:pk>/start/": only(OPERATOR),
    f"GET {FILES}/upload/": only(OPERATOR),
    f"GET {FILES}/<int:pk>/start/": only(OPERATOR),
    f"GET {FILES}/<int:pk>/answers.<slug:form>": ENGINE,
    "GET admin/translations/glossaryterm/import/": only(REVIEWER),
    "GET admin/translations/glossaryterm/import/template.<str:suffix>": only(REVIEWER),
    "GET admin/translations/glossaryterm/import/<str:token>/": only(REVIEWER),
    f"GET {UNITS}/coverage/": MEMBERS,
    f"POST {UNITS}/coverage/send/": only(OPERATOR),
    f"GET {UNITS}/coverage/export/": MEMBERS,
    f"GET {UNITS}/coverage/import/": only(REVIEWER),
    f"GET {UNITS}/review/": MEMBERS,
    f"GET {UNITS}/review/all/": MEMBERS,
    f"GET {UNITS}/review/asked/": MEMBERS,
    f"POST {UNITS}/review/asked/": DESK,
    f"GET {UNITS}/review/bulk/": only(REVIEWER),
    f"GET {UNITS}/review/mail/": DESK,
    f"GET {UNITS}/<int:key>/review/": MEMBERS,
    f"POST {UNITS}/<int:key>/review/draft/": DESK,
    "GET admin/translations_chats/chatsession/import/": only(EDITOR),
    "GET admin/translations_chats/chatsession/import/template.<str:suffix>": only(
        EDITOR
    ),
    "GET admin/translations_chats/chatsession/import/<str:token>/": only(EDITOR),
    f"GET {LESSONS}/import/": DESK,
    f"GET {LESSONS}/import/template.<str:suffix>": DESK,
    f"GET {LESSONS}/import/<str:token>/": DESK,
    f"GET {LESSONS}/translate/<str:token>/": only(OPERATOR),
    f"GET {LESSONS}/{OBJECT}/translate/": only(OPERATOR),
    f"GET {LESSONS}/{OBJECT}/live/": MEMBERS,
    "GET admin/translations_lessons/quizquestion/import/": DESK,
    "GET admin/translations_lessons/quizquestion/import/template.<str:suffix>": DESK,
    "GET admin/translations_lessons/quizquestion/import/<str:token>/": DESK,
}

# For staff there is nothing at these; others are led to the sign-in page.
# Of somebody whose it is not: as if it were not there.
OF_OTHERS = (
    "GET my/runs/<uuid:public_id>/",
    "GET my/runs/<uuid:public_id>/live/",
    "POST my/runs/<uuid:public_id>/cancel/",
    "GET my/runs/<uuid:public_id>/results/",
    "GET my/runs/<uuid:public_id>/results.<slug:kind>",
    "POST my/keys/<slug:prefix>/revoke/",
)
# Whoever signs out is led to sign in again.
LEFT = "POST my/sign-out/"
NOWHERE = (
    "GET admin/r/<path:content_type_id>/<path:object_id>/",
    "GET admin/(?P<url>.*)$",
)
