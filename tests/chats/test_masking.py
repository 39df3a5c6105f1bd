"""What leaves of a transcript, and what does not."""

from time import process_time

import pytest

from translations.chats.masking import (
    Names,
    digests,
    has_personal_data,
    mask,
    reopens,
)

AMINA = Names(customer=("Amina Warsame",), agents=("Mark",))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Write to a.b+c@example.co.uk.", "Write to [EMAIL_1]."),
        ("a@example.com, A@EXAMPLE.COM", "[EMAIL_1], [EMAIL_1]"),
        ("+252 61 000 0001 or 061-0000-001", "[PHONE_1] or [PHONE_2]"),
        ("٠٦١٢٣٤٥٦٧٨", "[PHONE_1]"),
        ("tel:0612345678!", "tel:[PHONE_1]!"),
        ("card 4111 1111 1111 1111", "card [CARD_1]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [ACCOUNT_1]"),
        ("account 123456789012", "account [ACCOUNT_1]"),
        ("from 192.0.2.17 today", "from [IP_1] today"),
        ("2001:db8:0:1:1:1:1:1 is mine", "[IP_1] is mine"),
        ("I am Amina Warsame", "I am [NAME_1]"),
        ("amina here, thanks MARK", "[NAME_1] here, thanks [AGENT_1]"),
        ("Dear Ms Warsame", "Dear Ms [NAME_1]"),
    ],
)
def test_personal_data_is_masked(text, sent):
    assert mask([text], AMINA).texts == [sent]


@pytest.mark.parametrize(
    "text",
    [
        "Order 88213 of 15 dollars, number 12345678",
        "on 04.02.2025 07:45:00 and 2026-03-01 09:05",
        "from 9 to 17, 24 hours",
        "a @ b is no address",
        "version 1.2.3.4000",
        "Marking and Aminata are other words",
    ],
)
def test_what_is_nobodys_stays(text):
    assert mask([text], AMINA).texts == [text]


def test_a_value_has_one_token_in_all_messages_and_is_known_again_here():
    masked = mask(["0612345678", "call 06-12345678 or b@example.com"])

    assert masked.texts == ["[PHONE_1]", "call [PHONE_1] or [EMAIL_1]"]
    assert masked.reopened(masked.texts[1]) == "call 0612345678 or b@example.com"


def test_who_writes_a_token_himself_gets_none():
    masked = mask(["what is [EMAIL_1]? a@example.com"])

    assert masked.texts == ["what is (EMAIL 1)? [EMAIL_1]"]


def test_masking_again_finds_nothing_more():
    first = mask(["Amina, a@example.com, +252 61 000 0001, 192.0.2.1"], AMINA)

    assert mask(first.texts, Names()).values == {}
    assert not has_personal_data(first.texts[0])


@pytest.mark.parametrize(
    ("text", "is_personal"),
    [
        ("write to x@example.com", True),
        ("call 061 000 0001", True),
        ("on 04.02.2025 07:45:00", False),
        ("order 88213", False),
    ],
)
def test_personal_data_is_recognised_in_an_answer(text, is_personal):
    assert has_personal_data(text) == is_personal


def test_a_name_that_was_masked_is_known_again_by_its_digest():
    known = digests(["Amina Warsame", "Mark"])

    assert "Amina" not in str(known)
    assert reopens("The customer, Amina Warsame, waits.", known)
    assert reopens("Mark helped.", known)
    assert not reopens("They had to mark the exam.", known)


@pytest.mark.parametrize("text", ["x" * 200_000, "1 2 " * 50_000, "a@" * 100_000])
def test_a_long_text_of_anything_takes_no_long_time(text):
    started = process_time()

    assert mask([text], AMINA).texts

    assert process_time() - started < 5  # quadratic would be minutes
