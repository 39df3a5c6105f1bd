"""The key of a trial installation: made once, kept beside its data."""

import os
import secrets
from pathlib import Path


def local_secret_key(path: Path) -> str:
    """Read the key at `path`, or make one there that only this user can read.

    Two processes may start at once: the first to create the file decides.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)  # atomic, and refuses to replace what another wrote
        except FileExistsError:
            return path.read_text()
        finally:
            draft.unlink()
    return path.read_text()
