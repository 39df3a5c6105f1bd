"""The kinds of content that `import_content` knows from this app."""

from translations.importing import register_importer
from translations.lessons.importing import LESSONS, QUIZZES

register_importer(LESSONS)
register_importer(QUIZZES)
