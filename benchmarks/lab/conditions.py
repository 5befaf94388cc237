"""What stands under every table: when, on what, with which versions."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("django", "granian", "celery", "psycopg")


def line(*more: str) -> str:
    """One sentence: date, machine, versions, and what the benchmark adds."""
    said = [datetime.now(UTC).strftime("%Y-%m-%d"), machine(), f"Python {platform.python_version()}"]
    said += [f"{name} {installed(name)}" for name in PACKAGES]
    return " · ".join([*said, *more])


def machine() -> str:
    """Processors and memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{os.cpu_count()} cores, {pages / 2**30:.0f} GB, Linux {platform.release().split('-')[0]}"


def installed(package: str) -> str:
    """Its version here."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def disk_mb(folder: Path) -> float:
    """What files in a folder take of the disk."""
    return sum(f.lstat().st_blocks * 512 for f in folder.rglob("*") if f.is_file()) / 1e6
