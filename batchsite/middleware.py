"""What every answer of the site carries, and what a refused sign-in looks like."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from batches.api.middleware import ROOT
from batchsite.signing_in import LoginThrottled, throttled_page

Answer = Callable[[HttpRequest], HttpResponse]

# Everything that a page needs comes from this site, and no script or style stands in
# the page itself, so that text which slipped through unescaped would still do nothing.
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Django's own style sheets have a few inside
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
# An answer of the API is nothing that a browser should show as a page.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger's program writes styles into its page.
DOCS_POLICY = PAGE_POLICY.replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
DOCS = f"{ROOT}docs"
NOT_USED = (
    "accelerometer",
    "camera",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "payment",
    "usb",
)


class SecurityHeaders:
    """Middleware: what browsers are to refuse, on every answer, whoever made it.

    The outermost of all, so that refusals, redirects and files have them too. The
    headers that Django knows of itself are repeated for the answers that end before
    its own middleware.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        path = request.path_info
        is_data = path.startswith(ROOT) and path != DOCS
        policy = DOCS_POLICY if path == DOCS else PAGE_POLICY
        headers = {
            "Content-Security-Policy": API_POLICY if is_data else policy,
            "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": ", ".join(f"{name}=()" for name in NOT_USED),
            "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": settings.X_FRAME_OPTIONS,
        }
        if is_data:
            # Figures and texts of people: no cache on the way keeps them.
            headers["Cache-Control"] = "private, no-store"
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response


class SignInThrottle:
    """Middleware: a try to sign in that was not let through is answered in words."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        if isinstance(error, LoginThrottled):
            return throttled_page(request, error)
        return None
