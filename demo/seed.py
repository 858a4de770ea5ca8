"""A fortnight of a company's traffic, by the program's own verbs with a clock that is set back."""

from demo.city import City
from demo.house import Place

LOGIN, PASSWORD = "admin", "acuse-demo"


async def seed(place: Place, url: str, city: City, *, everything: bool) -> str:
    """Fill the database; how much, in words."""
    return "nothing"
