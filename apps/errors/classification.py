"""What kind of error this is, how bad, and whose, where the sender did not say.

By the exception's type and code, never by words of the message: whoever writes the message would choose the severity.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from apps.core.severity import RecordSeverity, Severity, record_severity, severity_of

VALIDATION = "Validation Error"
AUTHENTICATION = "Authentication Error"
DUPLICATE_KEY = "Database Duplicate Key"
FILE_SIZE = "File Size Error"
CONNECTION = "Database Connection Error"
SERVER = "Server Error"
ERROR_TYPES = (VALIDATION, AUTHENTICATION, DUPLICATE_KEY, FILE_SIZE, CONNECTION, SERVER)


class Verdict(NamedTuple):
    """The brief's error type and the severity that goes with it."""

    error_type: str
    severity: RecordSeverity


_SEVERITY = {
    VALIDATION: RecordSeverity.MINOR,
    AUTHENTICATION: RecordSeverity.MAJOR,
    DUPLICATE_KEY: RecordSeverity.MINOR,
    FILE_SIZE: RecordSeverity.MINOR,
    CONNECTION: RecordSeverity.CRITICAL,
    SERVER: RecordSeverity.MAJOR,
}

# Codes first: they are more exact than types. SQLSTATE, MongoDB, Node.js, multer, HTTP clients.
_CODES = {
    DUPLICATE_KEY: "23505 11000 11001 ER_DUP_ENTRY 1062 SQLITE_CONSTRAINT_UNIQUE P2002",
    FILE_SIZE: "LIMIT_FILE_SIZE LIMIT_FIELD_VALUE ERR_FR_MAX_BODY_LENGTH_EXCEEDED entity.too.large"
    " FST_ERR_CTP_BODY_TOO_LARGE",
    CONNECTION: "ECONNREFUSED ECONNRESET ECONNABORTED ETIMEDOUT ENOTFOUND EAI_AGAIN EPIPE EHOSTUNREACH ENETUNREACH"
    " ENETDOWN EHOSTDOWN ERR_NETWORK UND_ERR_CONNECT_TIMEOUT UND_ERR_SOCKET PROTOCOL_CONNECTION_LOST 57P01 57P02 57P03"
    " 53300 P1001 P1002 P1017",
    VALIDATION: "23502 23503 23514 ERR_VALIDATION FST_ERR_VALIDATION",
    AUTHENTICATION: "28000 28P01 credentials_required invalid_token token_expired ER_ACCESS_DENIED_ERROR 1045",
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

_TYPES = {
    VALIDATION: "ValidationError ValidationException ValidatorError RequestValidationError ParseError BadRequest"
    " ZodError CastError SchemaError DataError NotNullViolation CheckViolation ForeignKeyViolation"
    " InvalidArgumentException MethodArgumentNotValidException ConstraintViolationException ResponseValidationError"
    " SuspiciousOperation",
    AUTHENTICATION: "AuthenticationError AuthenticationFailed AuthenticationException NotAuthenticated Unauthorized"
    " UnauthorizedError UnauthorizedException UnauthorizedAccessException JsonWebTokenError TokenExpiredError"
    " NotBeforeError ExpiredSignatureError InvalidTokenError InvalidSignatureError DecodeError BadCredentialsException"
    " InvalidAuthorizationSpecification InvalidPassword",
    DUPLICATE_KEY: "UniqueViolation UniqueViolationError DuplicateKeyError DuplicateKeyException RecordNotUnique"
    " UniqueConstraintError SequelizeUniqueConstraintError UniqueConstraintViolationException",
    FILE_SIZE: "RequestDataTooBig RequestEntityTooLarge PayloadTooLargeError PayloadTooLarge FileTooLargeError"
    " MaxUploadSizeExceededException RequestBodyTooLargeException ContentTooLarge",
    CONNECTION: "OperationalError InterfaceError ConnectionRefusedError ConnectionResetError ConnectionAbortedError"
    " ConnectionError BrokenPipeError ConnectError ConnectTimeout ConnectionTimeout ConnectionFailure ConnectException"
    " NewConnectionError ConnectTimeoutError SocketError gaierror PoolTimeout TooManyConnections"
    " CannotConnectNow AdminShutdown CrashShutdown SQLNonTransientConnectionException SQLTransientConnectionException"
    " CommunicationsException UnknownHostException NoRouteToHostException SocketException MongoNetworkError"
    " MongoServerSelectionError ServerSelectionTimeoutError AutoReconnect MongooseServerSelectionError"
    " SequelizeConnectionError SequelizeConnectionRefusedError PrismaClientInitializationError ClientConnectorError"
    " NetworkError ConnectionDoesNotExistError ConnectionFailureError HttpConnectTimeoutException",
}
_BY_TYPE = {name: kind for kind, names in _TYPES.items() for name in names.split()}
# SQLSTATE classes: 08 connection, 22 data, 28 authorization. Others of the database are plain server errors.
_SQLSTATE = re.compile(r"[0-9][0-9A-Z]{4}")
_BY_SQLSTATE_CLASS = {"08": CONNECTION, "22": VALIDATION, "28": AUTHENTICATION}

LEVELS = ("fatal", "error", "warning", "info", "debug")
_LEVEL_OF = {
    Severity.CRITICAL: "fatal",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
}


def classify(exception_types: Iterable[str], code: object = None) -> Verdict:
    """By the code if it is a known one, else by the first known type; Server Error and Major otherwise.

    `exception_types` begins with the exception that surfaced and goes on with its causes; a module before the name
    (`psycopg.errors.UniqueViolation`) is allowed.
    """
    kind = _kind_of_code(code) or _kind_of_types(exception_types)
    return Verdict(kind, _SEVERITY[kind])


def verdict_of(error_type: str) -> Verdict | None:
    """The verdict that one of the brief's own words stands for."""
    return Verdict(error_type, _SEVERITY[error_type]) if error_type in _SEVERITY else None


def _kind_of_code(code: object) -> str | None:
    if isinstance(code, bool) or not isinstance(code, str | int):
        return None
    text = str(code)[:64].strip()
    if text in _BY_CODE:
        return _BY_CODE[text]
    if _SQLSTATE.fullmatch(text):
        # A SQLSTATE is exact even where it is none of ours: 57014 is no lost connection, whatever the type says.
        return _BY_SQLSTATE_CLASS.get(text[:2], SERVER)
    return None


def _kind_of_types(types: Iterable[str]) -> str:
    for name in types:
        # sqlite3's OperationalError is about tables and locks: there is no connection to lose.
        if name.startswith("sqlite3."):
            return SERVER
        kind = _BY_TYPE.get(re.split(r"[.:\\]", name[:200])[-1])
        if kind:
            return kind
    return SERVER


def level_of(word: object) -> str:
    """One of Sentry's five levels; error for what is no level."""
    if word in LEVELS:
        return str(word)
    severity = severity_of(word)
    return _LEVEL_OF[severity] if severity else "error"


def severity_of_level(level: str) -> RecordSeverity:
    """fatal → Critical, error → Major, warning, info and debug → Minor."""
    return record_severity(severity_of(level) or Severity.ERROR)


def has_user_impact(level: str) -> bool:
    """Messages of level info and debug are records, not failures that anybody felt."""
    return level not in ("info", "debug")
