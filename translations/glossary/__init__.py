"""The glossary: which words the translations of an organisation use, and which not."""
