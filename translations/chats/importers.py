"""The kinds of content that `import_content` knows from this app."""

from translations.chats.importing import CHATS
from translations.importing import register_importer

register_importer(CHATS)
