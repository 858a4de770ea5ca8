"""Twilio's own descriptions of its API as a judge of calls and answers."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parents[3] / "shared" / "data" / "specs"


class TwilioJudge:
    """Says what is wrong with a call, by Twilio's descriptions of its API."""

    def __init__(self) -> None:
        self._rest = json.loads((SPECS / "twilio_api_v2010.json").read_text("utf-8"))
        self._content = json.loads((SPECS / "twilio_content_v1.json").read_text("utf-8"))

    def __call__(self, method: str, given: dict[str, Any], _: set[str]) -> list[str]:
        """What a stand-in asks of each call."""
        match method:
            case "Messages":
                return self.message(given)
            case "Content":
                return self.content("ContentCreateRequest", given)
            case "Approval":
                return self.content("ContentApprovalRequest", given)
        return []

    def message(self, form: Mapping[str, list[str]]) -> list[str]:
        """A call that sends."""
        call = self._rest["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["post"]
        schema = call["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        faults = [f"{name}: unknown" for name in form if name not in schema["properties"]]
        faults += [f"{name}: missing" for name in schema.get("required", []) if name not in form]
        for name in form.keys() & schema["properties"].keys():
            described = schema["properties"][name]
            value: Any = form[name] if described["type"] == "array" else form[name][0]
            if described["type"] == "boolean" and value in ("true", "false"):
                value = value == "true"
            faults += _faults(self._rest, described, value, name)
        return faults

    def content(self, name: str, value: Any) -> list[str]:
        """An object of the Content API."""
        return _faults(self._content, {"$ref": f"#/components/schemas/{name}"}, value, name)

    def told(self, answer: dict[str, Any]) -> list[str]:
        """A message as the stand-in tells of it."""
        given = {name: value for name, value in answer.items() if value is not None}
        return _faults(self._rest, {"$ref": "#/components/schemas/api.v2010.account.message"}, given, "message")


def _faults(described: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> list[str]:
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "object": dict,
        "array": list,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{where}: {value!r} is no {schema['type']}"]
    faults = []
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            faults.append(f"{where}: {value!r} is not like {schema['pattern']}")
        if "enum" in schema and value not in schema["enum"]:
            faults.append(f"{where}: {value!r} is none of {schema['enum']}")
    if isinstance(value, dict) and "properties" in schema:
        faults += [f"{where}.{name}: unknown" for name in value if name not in schema["properties"]]
        faults += [f"{where}.{name}: missing" for name in schema.get("required", []) if name not in value]
        for name in value.keys() & schema["properties"].keys():
            faults += _faults(described, schema["properties"][name], value[name], f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            faults += _faults(described, schema["items"], one, f"{where}[{number}]")
    return faults
