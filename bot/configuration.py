"""Read config.yaml: one text, checked whole, every fault at once with its path and its remedy. Pure.

`${NAME}` and `${NAME:-default}` are replaced in values that are parsed already, so that no secret can become YAML and
no comment is mistaken for a reference. `$${` is a plain `${`. A value that is nothing but a reference with an empty
default is null when it stays empty.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, where, and what to do about it. Quotes nothing from the environment: secrets."""

    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


class ConfigurationFaults(Exception):
    """Everything that is wrong with a configuration."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)


class _Loader(yaml.SafeLoader):
    """YAML without the readings that surprise: `17:00` is not 1020, and neither `no` nor `on` is a truth value."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - no ClassVar: the base class declares it as an instance variable


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|[-+]?\.[0-9]+", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("timestamp", r"\d{4}-\d{2}-\d{2}", "0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def sections(text: str, env: Mapping[str, str], known: Collection[str] = ()) -> dict[str, Any]:
    """The sections of a configuration with all references replaced.

    known: the sections that there may be; empty means any. Raises ConfigurationFaults.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError:
        problem = "holds a sign that no text has (a zero byte, perhaps)"
        raise ConfigurationFaults([Fault("config", problem, "save it anew as plain text")]) from None
    try:
        node = loader.get_single_node()
        faults = list(_faults_of_node(node, "", ()))
        raw = loader.construct_document(node) if node is not None and not faults else None
    except yaml.YAMLError as error:
        raise ConfigurationFaults([_syntax_fault(error)]) from None
    except ValueError:  # a date such as 2026-02-30
        raise ConfigurationFaults([Fault("config", "a date that does not exist", "write it as 2026-12-24")]) from None
    finally:
        loader.dispose()
    if node is not None and not faults and raw is not None and not isinstance(raw, dict):
        faults.append(Fault("config", "not a list of sections", "start with `company:` at the left edge"))
    found = raw if isinstance(raw, dict) else {}
    faults += [_unknown(str(name), str(name), known) for name in found if known and name not in known]
    replaced = {name: _replace(value, name, env, faults) for name, value in found.items()}
    if faults:
        raise ConfigurationFaults(faults)
    return replaced


def checked(model: type[Model], raw: Any, path: str, faults: list[Fault]) -> Model | None:
    """A section as its owner's model; None, and its faults added to `faults`, if anything is wrong with it."""
    try:
        return model.model_validate({} if raw is None else raw)
    except ValidationError as error:
        faults += faults_of(error, path, model)
        return None


def faults_of(error: ValidationError, path: str, model: type[BaseModel]) -> list[Fault]:
    """What pydantic found, as faults with a remedy each."""
    return [_model_fault(found, path, model) for found in error.errors(include_url=False, include_input=False)]


def _model_fault(found: Any, path: str, model: type[BaseModel]) -> Fault:
    place = ".".join([path, *(str(step) for step in found["loc"])])
    name = str(found["loc"][-1]) if found["loc"] else ""
    if found["type"] == "extra_forbidden":
        return _unknown(place, name, _names(model, found["loc"][:-1]))
    if found["type"] == "missing":
        return Fault(place, "missing", f"add `{name}:` with its value")
    if found["type"] == "value_error":
        problem, _, remedy = str(found["ctx"]["error"]).partition("; ")
        return Fault(place, problem, remedy or "correct it")
    if found["type"] in ("literal_error", "enum"):
        return Fault(place, "not one of the choices", f"write one of {found['ctx']['expected']}")
    problem = found["msg"][:1].lower() + found["msg"][1:]
    return Fault(place, problem, "correct the value; config.yaml shows an example")


def _names(model: type[BaseModel], steps: Iterable[int | str]) -> list[str]:
    """The settings that exist at a place inside a model, as far as it can be followed."""
    here: type[BaseModel] | None = model
    for step in steps:
        field = here.model_fields.get(str(step)) if here else None
        here = _model_in(field.annotation) if field else None
    return [field.alias or name for name, field in here.model_fields.items()] if here else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _unknown(path: str, name: str, known: Collection[str]) -> Fault:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return Fault(path, "unknown setting", f"did you mean `{close[0]}`?")
    return Fault(path, "unknown setting", f"remove it, or write one of {', '.join(known)}" if known else "remove it")


def _faults_of_node(node: yaml.Node | None, path: str, inside: tuple[int, ...]) -> Iterable[Fault]:
    """Keys that are written twice or are no names, and anchors that hold themselves."""
    if id(node) in inside:
        yield Fault(path or "config", "an anchor that contains itself", "write the values out")
        return
    inside = (*inside, id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _faults_of_node(item, f"{path}.{number}", inside)
    if isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith((":str", ":merge")):
                yield Fault(path or "config", f"a name on line {line} that is not text", "put it in quotation marks")
                continue
            place = f"{path}.{key.value}".lstrip(".")
            if key.value in first_lines:
                problem = f"written twice, on lines {first_lines[key.value]} and {line}"
                yield Fault(place, problem, "keep one of them")
            first_lines[key.value] = line
            yield from _faults_of_node(value, place, inside)


def _replace(value: Any, path: str, env: Mapping[str, str], faults: list[Fault]) -> Any:
    """The same value with its references replaced; what cannot be is added to `faults`."""
    if isinstance(value, dict):
        return {name: _replace(inner, f"{path}.{name}", env, faults) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner, f"{path}.{number}", env, faults) for number, inner in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def referred(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        reference = _NAME.fullmatch(match[1]) if match[0].endswith("}") else None
        if reference is None:
            faults.append(Fault(path, "`${` without a name", "write ${NAME} or ${NAME:-default}; a plain ${ is $${"))
            return ""
        found = env.get(reference[1]) or reference[2]
        if found is None:
            remedy = f"set it, or write ${{{reference[1]}:-a default}} (empty after :- if it may be missing)"
            faults.append(Fault(path, f"the environment has no {reference[1]}", remedy))
        return found or ""

    replaced = _REFERENCE.sub(referred, value)
    whole = _REFERENCE.fullmatch(value)
    return None if replaced == "" and whole is not None and whole[0] != "$${" else replaced


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "config"
    problem = getattr(error, "problem", None) or "not YAML"
    return Fault(place, str(problem), "check indentation (blanks, no tabs), colons and quotation marks there")
