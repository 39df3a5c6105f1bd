from django.contrib import admin
from django.urls import include, path, re_path

from batches.api.middleware import no_such_address
from batches.api.provider_webhooks import openai_webhook
from batches.my.access import front_door
from batchsite.api import api
from batchsite.second_factor import URL_NAME, second_factor_page
from translations.dictionary.pages import ask_page

urlpatterns = [
    path("", front_door),
    path("second-factor/", second_factor_page, name=URL_NAME),
    path("admin/", admin.site.urls),
    path("my/words/", ask_page, name="ask_about_words"),
    path("my/", include("batches.my.urls")),
    path("api/", no_such_address),
    path("api/webhooks/openai", openai_webhook),
    path("api/", api.urls),
    re_path(r"^api(?:/|$)", no_such_address),
]
