"""How a parallel run (`pytest -n 2`) shares out the tests.

By path and not by `xdist_group` marks: pytest 9.2 and pytest-xdist 3.8 together ignore those without a word
(pytest-dev/pytest-xdist#1386).
"""

from xdist.scheduler import LoadScopeScheduling

# Tests that start whole portals and servers run one after the other on one worker: two chains of about the same
# length, which the scheduler begins with; all other tests are handed out one by one.
GROUPS = {
    "tests/loop/test_loop.py": "portals",
    "tests/browser/": "portals",
    "tests/sdks/": "portals",
    "tests/loop/test_faults.py": "processes",
    "tests/loop/test_pager_faults.py": "processes",
    "tests/loop/test_cron_pages.py": "processes",
    "tests/core/test_up.py": "processes",
    "tests/alerts/doors/test_real_senders.py": "processes",
    "tests/core/test_embedded.py": "processes",
    "tests/demo/test_demo.py": "demo",
    "tests/hostile/": "hostile",
}


class ByGroup(LoadScopeScheduling):
    """One worker at a time for each group."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for path, group in GROUPS.items() if nodeid.startswith(path)), nodeid)
