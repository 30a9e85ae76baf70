"""Pieces of the OpenAPI document that routes add by hand, because they read and check bodies themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Path
from pydantic import BaseModel

from clearhead.server.house import House
from clearhead.server.refusal import CODES
from clearhead.server.schema import ErrorResponse


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented refusals of a route."""
    return {status: {"model": ErrorResponse, "description": CODES[status].replace("_", " ")} for status in statuses}


class Documented(FastAPI):
    """FastAPI whose document says, where there is a token, which routes ask for it: all but liveness."""

    guarded = False

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        table = super().openapi()
        if self.guarded:
            table.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            table["security"] = [{"token": []}]
            table["paths"]["/health/live"]["get"]["security"] = []
        return table


def takes(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON body of a route."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined(kind)}}}}


def name_of_one(house: House) -> Any:
    """The parameter of a path that is a model's name."""
    return Path(description="A model's name.", json_schema_extra={"enum": list(house.models)})


def inlined(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of ``kind`` without references."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, list):
            return [resolve(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolve(definitions[part["$ref"].rpartition("/")[2]])
        return {key: resolve(value) for key, value in part.items()}

    resolved: dict[str, Any] = resolve(schema)
    return resolved
