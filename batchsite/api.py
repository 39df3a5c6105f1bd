"""The JSON API: one document, with the routers of the engine and of the content apps.

Fixed names stand before ids, so `/stats` is never taken for an id; no address ends in
a slash.
"""

from django.contrib.admin.views.decorators import staff_member_required

from batches.api.auth import callers
from batches.api.batch_jobs.routes import router as batch_jobs
from batches.api.errors import Api
from batches.models.api_key import Scope
from translations.lessons.api import router as lessons

api = Api(
    title="Batchsite",
    version="1",
    description="Bulk work with language models: ask for it, follow it, steer it.",
    urls_namespace="api",
    # Whatever forgets to say who may call it is for administrators.
    auth=callers(Scope.ADMIN),
    docs_decorator=staff_member_required,
)
api.add_router("/admin/batch-jobs", lessons)
api.add_router("/admin/batch-jobs", batch_jobs)
