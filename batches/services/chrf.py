"""chrF: how like a text is to a reference, by the runs of characters that they share.

Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation": runs of one
to six characters without white space, and recall that weighs twice as much as
precision. The figures are those of sacrebleu 2.6 for one sentence.
"""

from collections import Counter

LONGEST_RUN = 6
BETA = 2


def chrf(text: str, reference: str) -> float:
    """0 to 100, where 100 is the reference itself."""
    words, wanted = "".join(text.split()), "".join(reference.split())
    precision = recall = 0.0
    compared = 0
    for length in range(1, LONGEST_RUN + 1):
        found, expected = _runs(words, length), _runs(wanted, length)
        if not found or not expected:
            continue
        shared = (found & expected).total()
        precision += shared / found.total()
        recall += shared / expected.total()
        compared += 1
    if not compared or not precision + recall:
        return 0.0
    precision, recall = precision / compared, recall / compared
    weight = BETA**2
    return 100 * (1 + weight) * precision * recall / (weight * precision + recall)


def _runs(text: str, length: int) -> Counter[str]:
    return Counter(text[at : at + length] for at in range(len(text) - length + 1))
