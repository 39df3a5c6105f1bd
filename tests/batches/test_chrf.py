"""chrF against the figures that sacrebleu 2.6.0 gives for the same pairs."""

import pytest

from batches.services.chrf import chrf


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("the cat sat on the mat", "the cat is on the mat", 64.5779420625287),
        ("الاستماع إلى طفلك", "الإصغاء إلى طفلك", 41.884524012244626),
        ("Listening to your child", "Listening to your child", 100.0),
        (
            "Learn how you can listen to your child.",
            "Learn how to listen to your child without interrupting.",
            49.839980503800966,
        ),
        ("a", "b", 0.0),
        ("", "abc", 0.0),
        ("ab", "abcdef", 31.25),
        ("x  y\nz", "xyz", 100.0),
    ],
)
def test_it_gives_the_known_values(text, reference, expected):
    assert chrf(text, reference) == pytest.approx(expected)
