import pytest


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path
