"""Words without what people leave out when they write or say them again. Pure."""

import re
import unicodedata


def unaccented(text: str) -> str:
    """Without case and accents; nothing else is changed: "Été à Sète" is "ete a sete"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def bare_words(text: str) -> str:
    """Letters a to z and digits alone, one space between words: "C'est bon !" is "c est bon"."""
    return " ".join(re.findall(r"[a-z0-9]+", unaccented(text)))


def bare_name(text: str) -> str:
    """ASCII letters and digits alone, nothing between them: "Rdv_Date" is "rdvdate"."""
    return "".join(c for c in unaccented(text) if c.isascii() and c.isalnum())
