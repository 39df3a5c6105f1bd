"""What every worker needs, imported once by the process that they are forked from."""

import django

django.setup()

import batches.management.commands.process_batches  # noqa: E402, F401
import batches.providers.openai_batch  # noqa: E402, F401
from batches.providers.tokens import count_tokens  # noqa: E402

count_tokens("gpt-4o-mini", "The tables take a second to read.")
