"""The kinds of content that `import_content` knows from this app."""

from translations.glossary.importing import GLOSSARY
from translations.importing import register_importer

register_importer(GLOSSARY)
