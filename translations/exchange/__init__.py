"""Translations out to files and back: CSV, JSON Lines, XLIFF 2 and PO.

A file has a line for each segment, in the form in which a model gets it, so that a
translator's tool and a model mend the same thing. What comes back becomes a proposal: a
version that waits for review, beside whatever is there.
"""
