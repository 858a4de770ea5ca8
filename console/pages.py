"""Put values into templates; every page of the console is made here."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.site import Site
from console.words import Words

HERE = Path(__file__).parent
STATIC = HERE / "static"


def asset_version(version: str) -> str:
    """New with every release and with every change of a static file, so that browsers may keep files for a year."""
    content = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            content.update(file.read_bytes())
    return f"{version}-{content.hexdigest()[:8]}"


class Pages:
    """The templates of one installation. Everything is escaped; an unknown name in a template is an error."""

    def __init__(self, site: Site, words: Words | None = None) -> None:
        self._company = site.parts.company
        self._words = words or Words.load()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["version"] = asset_version(site.version)
        self._templates.globals["company"] = self._company

    def words(self, language: str) -> Mapping[str, Mapping[str, str]]:
        """The texts of a language, as the company addresses people."""
        return self._words.of(language, self._company.treatment)

    def text(self, template: str, language: str, **values: Any) -> str:
        """A template with its values. `w` in a template is the texts of the language."""
        return self._templates.get_template(template).render(language=language, w=self.words(language), **values)

    def page(self, template: str, language: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A whole page. What it shows is somebody's own: nothing between here and the browser may keep it."""
        return HTMLResponse(
            self.text(template, language, **values), status_code=status, headers={"Cache-Control": "no-store"}
        )
