"""Cut what is kept for a while only by day; the addition of two histograms."""

from django.db import migrations

from apps.core.partitions import partition_by_id

MERGE = """
CREATE FUNCTION telemetry_merge(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(jsonb_object_agg(bucket, n), '{}') FROM (
    SELECT key AS bucket, sum(value::bigint) AS n
    FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) AS both_of_them GROUP BY key
  ) AS merged
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial"), ("core", "0002_partition_functions")]
    operations = [
        partition_by_id("telemetry_trackedevent"),
        partition_by_id("telemetry_seenreport"),
        partition_by_id("telemetry_sessionstate"),
        migrations.RunSQL(MERGE, "DROP FUNCTION telemetry_merge"),
    ]
