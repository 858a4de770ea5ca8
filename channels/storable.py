"""What may be kept of a text from outside."""


def storable(text: str) -> str:
    """Take out what PostgreSQL cannot keep: NUL, and halves of surrogate pairs (JSON can carry both)."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
