"""Faults put into good translations are found, of each kind at least 95 in 100."""

import pytest

from tests.translations.seeded_faults import KINDS, missed, seeded


@pytest.mark.parametrize("kind", KINDS)
def test_faults_of_a_kind_are_found(kind):
    pairs = seeded(kind)

    lost = missed(kind, pairs)

    assert len(pairs) >= 50
    shown = [(pair.source, pair.target) for pair in lost]
    assert len(lost) <= 0.05 * len(pairs), shown
