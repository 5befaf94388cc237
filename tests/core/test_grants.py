"""What the app role may do to each table, and what nobody may do to the audit log."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction

from apps.audit import services as audit
from apps.audit.models import AuditEvent
from apps.core import grants
from apps.core.models import PartitionedTable, TickRun
from apps.core.owner import as_owner
from tests.core.test_partitions import ask

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def rule(table, is_partition):
    """The rule in words of the design: nothing on partitions, read, add, or the four verbs."""
    if is_partition:
        return set()
    if table in grants.read_only_tables:
        return {"SELECT"}
    if table in grants.append_only_tables:
        return {"SELECT", "INSERT"}
    return {"SELECT", "INSERT", "UPDATE", "DELETE"}


@pytest.mark.django_db
def test_the_app_role_may_do_to_each_table_exactly_what_the_rule_says():
    tables = ask(
        "SELECT relname, relispartition FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND relnamespace = 'public'::regnamespace"
    )
    assert len(tables) > 40
    wrong = {}
    for table, is_partition in tables:
        (may,) = ask(
            "SELECT " + ", ".join(f"has_table_privilege(%s, '{right}')" for right in ALL), *[table] * 7
        )
        held = {right for right, yes in zip(ALL, may, strict=True) if yes}
        if table.startswith("pg_stat_"):
            continue  # views of an extension, for everybody
        if held != rule(table, is_partition):
            wrong[table] = held
    assert wrong == {}


@pytest.mark.django_db
def test_nothing_of_the_schema_belongs_to_the_app_role():
    owned = ask("SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = current_user")
    assert owned == []
    assert ask("SELECT current_user") == [(grants.app_role(),)]
    assert grants.two_roles()


@pytest.mark.django_db
def test_the_audit_log_and_the_timeline_are_append_only():
    assert {"audit_auditevent", "incidents_timelineentry"} <= grants.append_only_tables


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET action = 'planted'",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "INSERT INTO audit_auditevent SELECT * FROM audit_auditevent ON CONFLICT (id) DO UPDATE SET action = 'planted'",
        "MERGE INTO audit_auditevent a USING audit_auditevent b ON a.id = b.id WHEN MATCHED THEN DELETE",
    ],
)
def test_the_app_role_cannot_change_a_written_audit_event(statement):
    audit.record("probe.kept")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        ask(statement)
    assert AuditEvent.objects.get().action == "probe.kept"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET action = 'planted'",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "TRUNCATE audit_auditevent CASCADE",
        "INSERT INTO audit_auditevent SELECT * FROM audit_auditevent ON CONFLICT (id) DO UPDATE SET action = 'planted'",
    ],
)
def test_the_owner_cannot_either_as_long_as_the_triggers_stand(statement):
    audit.record("probe.kept")
    with as_owner(), pytest.raises(ProgrammingError, match="is append-only"):
        ask(statement)
    assert AuditEvent.objects.get().action == "probe.kept"


@pytest.mark.django_db(transaction=True)
def test_the_owner_cannot_go_past_the_triggers_through_a_partition():
    event = audit.record("probe.kept")
    with as_owner():
        (place,) = ask("SELECT tableoid::regclass::text FROM audit_auditevent")[0]
        for statement in (f"UPDATE {place} SET action = 'planted'", f"DELETE FROM {place}"):
            with pytest.raises(ProgrammingError, match="is append-only"):
                ask(statement)
    assert AuditEvent.objects.get() == event


@pytest.mark.django_db
def test_an_audit_row_whose_hash_does_not_fit_its_canonical_text_is_refused():
    event = audit.record("probe.kept")
    event.pk = None
    facts = {f.attname: getattr(event, f.attname) for f in AuditEvent._meta.concrete_fields}
    facts["id"] = "01900000-0000-7000-8000-000000000000"
    with pytest.raises(IntegrityError, match="audit_auditevent_hash_fits"), transaction.atomic():
        AuditEvent.objects.create(**facts | {"canonical": facts["canonical"] + " "})
    AuditEvent.objects.create(**facts)  # the same facts with the hash that fits are taken


@pytest.mark.django_db
def test_flush_is_refused_outside_test_databases():
    name = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = "portal"
    try:
        with pytest.raises(CommandError, match="would erase the audit log"):
            call_command("flush", interactive=False)
    finally:
        connection.settings_dict["NAME"] = name


@pytest.mark.django_db(transaction=True)
def test_flush_empties_a_test_database_but_leaves_roles_and_the_list_and_puts_the_triggers_back():
    audit.record("probe.gone")
    TickRun.objects.create(name="x", every_s=1)
    groups = set(Group.objects.values_list("name", "permissions__codename"))
    call_command("flush", interactive=False, verbosity=0)
    assert not AuditEvent.objects.exists()
    assert not TickRun.objects.exists()
    assert set(Group.objects.values_list("name", "permissions__codename")) == groups
    assert len({name for name, _ in groups}) == 6
    assert PartitionedTable.objects.exists()
    states = ask(
        "SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgname IN ('refuse_change', 'refuse_truncate')"
    )
    assert states == [("A",)]  # ENABLE ALWAYS
