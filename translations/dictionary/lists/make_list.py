"""Make `english.txt.gz` anew, from the npm package an-array-of-english-words 2.0.0.

    npm pack an-array-of-english-words@2.0.0
    python make_list.py an-array-of-english-words-2.0.0.tgz

The package is under the MIT licence (LICENSE beside this file). The list is frozen:
the sum below is that of its words, one a line, and anything else is refused.
"""

import gzip
import hashlib
import json
import sys
import tarfile
from pathlib import Path

PLACE = Path(__file__).parent / "english.txt.gz"
SHA256 = "11306496a6d7d3dbad23f01aec4a372bcd46d46af5b756cdee57be988e2aece5"


def make_list(package: Path) -> int:
    """Write the list; returns how many words it has. Raises ValueError for others."""
    with tarfile.open(package) as archive:
        member = archive.extractfile("package/index.json")
        if member is None:
            raise ValueError(f"{package} has no package/index.json.")
        words = json.load(member)
    text = "".join(f"{word}\n" for word in words).encode()
    found = hashlib.sha256(text).hexdigest()
    if found != SHA256:
        raise ValueError(f"{package} has another list: SHA-256 {found}, not {SHA256}.")
    PLACE.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    return len(words)


if __name__ == "__main__":
    sys.stdout.write(f"{make_list(Path(sys.argv[1])):,} words\n")
