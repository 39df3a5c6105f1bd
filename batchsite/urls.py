from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView

from batches.api.middleware import no_such_address
from batchsite.api import api

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/", no_such_address),
    path("api/", api.urls),
    re_path(r"^api(?:/|$)", no_such_address),
]
