"""The measures that rules may ask for, by name."""

registry: dict[str, str] = {}


def choices() -> list[tuple[str, str]]:
    """For forms."""
    return list(registry.items())
