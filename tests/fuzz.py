"""How hard property tests try, in `make test` and under PORTAL_CI=1. No input is timed.

In CI whole requests (tests/ingest/test_hostile_fuzz.py) are 100,000; generated values cost a hundred times more each,
so they are 2,000 a property, some 30,000 together.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CI = os.environ.get("PORTAL_CI") == "1"
MOST = 100_000 if CI else 1_000
thorough = settings(
    max_examples=2_000 if CI else 1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
fewer = settings(thorough, max_examples=thorough.max_examples // 5)

# What the decoder can give: whole numbers of 64 bits, and floats.
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)
