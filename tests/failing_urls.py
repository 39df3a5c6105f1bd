"""Addresses of a site whose one page fails."""

from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.test_secrets import fail

urlpatterns = [path("fail/", csrf_exempt(fail))]
