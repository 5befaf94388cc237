"""The one JSON parser of the API: bounded in size, depth, keys and strings, and never a 500."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from apps.core import jsontext


class TooLarge(APIException):
    """413 in the one error format."""

    status_code = 413
    default_code = "too_large"
    default_detail = "The body is larger than the limit."


class BoundedJSONParser(JSONParser):
    """JSON as apps.core.jsontext reads it: NUL and lone surrogates repaired, the rest of the hostile list refused."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The decoded document; ParseError (400) names what is wrong with it."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise TooLarge
        try:
            return jsontext.decode(raw)
        except jsontext.JsonRefused as refused:
            raise ParseError(refused.message) from refused
