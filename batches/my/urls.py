from django.contrib.auth.views import LogoutView
from django.urls import path, reverse_lazy

from batches.my import keys, results, runs
from batches.my.access import ChangePassword, SignIn, own_page

app_name = "my"

urlpatterns = [
    path("", runs.list_page, name="runs"),
    path("live/", runs.live_list, name="live_runs"),
    path("sign-in/", SignIn.as_view(), name="sign_in"),
    path(
        "sign-out/",
        LogoutView.as_view(next_page=reverse_lazy("my:sign_in")),
        name="sign_out",
    ),
    path("password/", own_page(ChangePassword.as_view()), name="password"),
    path("runs/<uuid:public_id>/", runs.run_page, name="run"),
    path("runs/<uuid:public_id>/live/", runs.live_run, name="live_run"),
    path("runs/<uuid:public_id>/cancel/", runs.cancel_page, name="cancel"),
    path("runs/<uuid:public_id>/results/", results.results_page, name="results"),
    path(
        "runs/<uuid:public_id>/results.<slug:kind>",
        results.download,
        name="download",
    ),
    path("keys/", keys.keys_page, name="keys"),
    path("keys/<slug:prefix>/revoke/", keys.revoke_page, name="revoke"),
]
