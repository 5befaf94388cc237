"""How facts.py makes events in the database, and every counter from the very rows that were made."""

GROUPS = """
CREATE TEMP TABLE bench_group AS
SELECT row_number() OVER (ORDER BY g.id) - 1 AS number, g.id, g.component_id, g.severity, g.error_type, g.title,
  e.endpoint FROM errors_errorgroup g JOIN errors_errorevent e ON e.id = g.last_event_id WHERE g.project_id = %s
"""
FACTS = """
CREATE TEMP TABLE bench_fact AS
SELECT (lpad(to_hex((extract(epoch FROM d.at) * 1000)::bigint), 12, '0') || left(d.hash, 20))::uuid AS id_,
  d.hash AS event_id, d.at, d.usr, d.tenant, g.*
FROM (
  SELECT date_trunc('milliseconds', %(start)s::timestamptz + random() * interval '1 day') AS at,
    floor(power(random(), %(skew)s) * %(groups)s)::int AS pick, md5(random()::text || n) AS hash,
    md5((random() * 5000)::int::text) AS usr, 'tenant-' || lpad((random() * 19)::int::text, 2, '0') AS tenant
  FROM generate_series(1, %(count)s) n
) d JOIN bench_group g ON g.number = d.pick
"""
_EVENTS = """
INSERT INTO errors_errorevent (id, event_id, occurred_at, received_at, project_id, component_id, group_id, severity,
  error_type, message, user_hash, user_impact, release, environment, endpoint, device_type, source, tags, payload,
  backfilled)
SELECT id_, event_id, at, at, %(project)s, component_id, id, severity, error_type, title, usr || usr, true,
  'shop@4.12.3', 'production', endpoint, 'unknown', 'sentry',
  jsonb_build_object('tenant', tenant, 'region', 'eu-west', 'plan', 'team'),
  '\\x00'::bytea || convert_to(jsonb_build_object('exceptions', jsonb_build_array(
    jsonb_build_object('type', error_type, 'value', title, 'stacktrace', jsonb_build_object('frames', jsonb_build_array(
      jsonb_build_object('function', 'total', 'filename', 'shop/pricing.py', 'lineno', 34, 'in_app', true,
        'context_line', '    return failure(cart, amounts)'),
      jsonb_build_object('function', 'place_' || number, 'filename', 'shop/orders.py', 'lineno', number %% 900,
        'in_app', true, 'context_line', '    raise Failure(order)'))))))::text, 'UTF8'), false
FROM bench_fact ORDER BY id_
"""
_MINUTES = """
INSERT INTO errors_errorminute (minute, component_id, project_id, severity, n, impacting)
SELECT date_trunc('minute', at), component_id, %(project)s, severity, count(*), count(*)
FROM bench_fact GROUP BY 1, 2, 4
ON CONFLICT (minute, component_id, severity) DO UPDATE SET n = errors_errorminute.n + excluded.n,
  impacting = errors_errorminute.impacting + excluded.impacting
"""
_ENDPOINTS = """
INSERT INTO errors_endpointminute AS old (minute, project_id, component_id, endpoint, n)
SELECT date_trunc('minute', at), %(project)s, component_id, endpoint, count(*) FROM bench_fact GROUP BY 1, 3, 4
ON CONFLICT (minute, component_id, endpoint) DO UPDATE SET n = old.n + excluded.n
"""
_GROUP_HOURS = """
INSERT INTO errors_grouphour (group_id, hour, n)
SELECT id, date_trunc('hour', at), count(*) FROM bench_fact GROUP BY 1, 2
ON CONFLICT (group_id, hour) DO UPDATE SET n = errors_grouphour.n + excluded.n
"""
_GROUP_DAYS = """
INSERT INTO errors_groupday AS old (day, group_id, n) SELECT at::date, id, count(*) FROM bench_fact GROUP BY 1, 2
ON CONFLICT (day, group_id) DO UPDATE SET n = old.n + excluded.n
"""
_HOURS = """
INSERT INTO errors_errorhour AS old (hour, component_id, project_id, severity, n, impacting)
SELECT date_trunc('hour', at), component_id, %(project)s, severity, count(*), count(*) FROM bench_fact GROUP BY 1, 2, 4
ON CONFLICT (hour, component_id, severity) DO UPDATE SET n = old.n + excluded.n,
  impacting = old.impacting + excluded.impacting
"""
_ENDPOINT_HOURS = """
INSERT INTO errors_endpointhour AS old (hour, component_id, project_id, endpoint, n)
SELECT date_trunc('hour', at), component_id, %(project)s, endpoint, count(*) FROM bench_fact GROUP BY 1, 2, 4
ON CONFLICT (hour, component_id, endpoint) DO UPDATE SET n = old.n + excluded.n
"""
_HIT_USERS = """
INSERT INTO errors_hituserday AS old (day, project_id, component_id, user_key, last_hour)
SELECT at::date, %(project)s, component_id, usr::uuid, max(date_trunc('hour', at)) FROM bench_fact GROUP BY 1, 3, 4
ON CONFLICT (day, project_id, component_id, user_key)
DO UPDATE SET last_hour = greatest(old.last_hour, excluded.last_hour)
"""
_ACTIVE_USERS = """
INSERT INTO telemetry_activeuserday AS old (day, project_id, user_key, last_hour)
SELECT at::date, %(project)s, usr::uuid, max(date_trunc('hour', at)) FROM bench_fact GROUP BY 1, 3
ON CONFLICT (day, project_id, user_key) DO UPDATE SET last_hour = greatest(old.last_hour, excluded.last_hour)
"""
_TAGS = """
WITH tenants AS (SELECT id, tenant, count(*) AS n FROM bench_fact GROUP BY 1, 2)
INSERT INTO errors_grouptag AS old (group_id, key, value, n)
SELECT id, 'tenant', tenant, n FROM tenants UNION ALL
SELECT id, key, value, sum(n) FROM tenants CROSS JOIN (VALUES ('region', 'eu-west'), ('plan', 'team')) t(key, value)
GROUP BY 1, 2, 3
ON CONFLICT (group_id, key, value) DO UPDATE SET n = old.n + excluded.n
"""
_USERS = """
INSERT INTO errors_groupuser AS old (group_id, user_hash, last_seen)
SELECT id, usr || usr, max(at) FROM bench_fact GROUP BY 1, 2
ON CONFLICT (group_id, user_hash) DO UPDATE SET last_seen = greatest(old.last_seen, excluded.last_seen)
"""
# Groups themselves are written once, at the end: thirty versions of each would be nothing but bloat.
_MET = """
INSERT INTO bench_met AS old (group_id, n, first_seen, last_seen, last_event_id)
SELECT id, count(*), min(at), max(at), (array_agg(id_ ORDER BY at DESC))[1] FROM bench_fact GROUP BY 1
ON CONFLICT (group_id) DO UPDATE SET n = old.n + excluded.n, last_seen = excluded.last_seen,
  last_event_id = excluded.last_event_id
"""
MET = """
CREATE TEMP TABLE bench_met (group_id bigint PRIMARY KEY, n bigint, first_seen timestamptz, last_seen timestamptz,
  last_event_id uuid)
"""
COUNTS = """
UPDATE errors_errorgroup g SET event_count = g.event_count + m.n, user_count = u.n,
  first_seen = least(g.first_seen, m.first_seen),
  last_event_id = CASE WHEN m.last_seen >= g.last_seen THEN m.last_event_id ELSE g.last_event_id END,
  last_seen = greatest(g.last_seen, m.last_seen)
FROM bench_met m JOIN (SELECT group_id, count(*) AS n FROM errors_groupuser GROUP BY 1) u USING (group_id)
WHERE g.id = m.group_id
"""

# Requests and tracked events do not grow with errors: an hour of them is a row for each endpoint and name.
_REQUESTS = """
INSERT INTO telemetry_request{span} ({span}, project_id, component_id, kind, endpoint, device, n, failed, timed,
  duration_sum_ms, duration_max_ms, durations)
SELECT at::{type}, %(project)s, e.component_id, 'request', e.endpoint, '', 400, 4, 400, 48000, 900,
  '{{"230": 300, "260": 90, "300": 10}}'
FROM generate_series(date_trunc('{span}', %(start)s::timestamptz), %(end)s::timestamptz, interval '1 {span}') at
CROSS JOIN (SELECT DISTINCT component_id, endpoint FROM errors_endpointhour WHERE project_id = %(project)s) e
"""
TRAFFIC = (
    _REQUESTS.format(span="hour", type="timestamptz"),
    _REQUESTS.format(span="day", type="date"),
    """
INSERT INTO telemetry_trackedhour (hour, project_id, component_id, name, subject, provider, reason, outcome, severity,
  n, timed, duration_sum_ms, durations)
SELECT at, %(project)s, c.id, t.name, t.subject, '', '', t.outcome, '', 60, 0, 0, '{}'
FROM generate_series(date_trunc('hour', %(start)s::timestamptz), %(end)s::timestamptz, interval '1 hour') at
CROSS JOIN (SELECT id FROM projects_component WHERE project_id = %(project)s) c
CROSS JOIN (VALUES ('feature_used', 'export', ''), ('feature_used', 'search', ''),
  ('cache_performance', 'prices', 'hit'), ('cache_performance', 'prices', 'miss')) t(name, subject, outcome)
""",
)
BY_DAY = (
    _EVENTS, _MINUTES, _ENDPOINTS, _HOURS, _ENDPOINT_HOURS, _GROUP_HOURS, _GROUP_DAYS, _HIT_USERS, _ACTIVE_USERS, _TAGS,
    _USERS, _MET,
)  # fmt: skip
