"""The JSON API: one document, with the routers of the engine and of the content apps.

Fixed names stand before ids, so `/stats` is never taken for an id; no address ends in
a slash.
"""

from django.contrib.admin.views.decorators import staff_member_required

from batches.api.audit.routes import router as audit_log
from batches.api.auth import callers
from batches.api.batch_jobs.routes import router as batch_jobs
from batches.api.batch_monitoring.alerts import router as alerts
from batches.api.batch_monitoring.routes import router as batch_monitoring
from batches.api.errors import Api
from batches.api.legacy.routes import router as legacy
from batches.api.parsing import StrictParser
from batches.api.steering import router as steering
from batches.models.api_key import Scope
from translations.api import content, reports
from translations.chats.api import router as chats
from translations.dictionary.api import router as user_batches
from translations.lessons.api import router as lessons

api = Api(
    title="Batchsite",
    version="1",
    description="Bulk work with language models: ask for it, follow it, steer it.",
    urls_namespace="api",
    # Whatever forgets to say who may call it is for administrators.
    auth=callers(Scope.ADMIN),
    parser=StrictParser(),
    docs_decorator=staff_member_required,
)
api.add_router("/admin/audit", audit_log)
api.add_router("/admin/batch-jobs", lessons)
api.add_router("/admin/batch-jobs", batch_jobs)
api.add_router("/admin/batch-monitoring/alerts", alerts)
api.add_router("/admin/batch-monitoring", batch_monitoring)
api.add_router("/admin/legacy", legacy)
api.add_router("/admin/steering", steering)
api.add_router("/chats", chats)
api.add_router("/v1/ai/batch", user_batches)
api.add_router("/content", content)
api.add_router("/translations", reports)
