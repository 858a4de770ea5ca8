"""The language of an answer: that of the person, which no single doubtful message changes (P23)."""

from bot.dialogue import words
from bot.parts import Parts
from nlu.understanding import Understanding
from storage.tables import Person

GUESSED = 0.5  # a reader that found nothing in the words says no more
SURE = 0.8  # from which a message speaks for another language than the person's
WORDS = 4  # fewer say nothing, however sure the reader is
FIRM = 2  # messages in a row, each sure, that change it


def spoken(parts: Parts, person: Person, text: str, understood: Understanding) -> str:
    """The language to answer these words in; what they tell of the person's language is kept with the person.

    What a provider says of its user, or a "hello", holds only until the first message that tells more.
    """
    if wanted := words.wanted_language(text):
        person.language_votes = FIRM
        return parts.language(wanted)
    heard = parts.language(understood.language)
    confidence = understood.language_confidence if len(text.split()) >= WORDS else 0.0
    known = person.language
    if known is None or heard == known or (person.language_votes == 0 and text.strip()):
        if confidence > GUESSED:
            person.language_votes = FIRM
        return heard
    if confidence < SURE:
        return known
    person.language_votes -= 1
    if person.language_votes > 0:
        return known
    person.language_votes = FIRM
    return heard
