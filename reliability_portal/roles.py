"""The six groups and what they may do. Deny first: who is in no group sees nothing."""

ROOMS = ("projects", "errors", "telemetry", "health", "incidents", "alerts", "core", "ingest")
SEE = tuple(f"{room}.view_*" for room in ROOMS)
WORK = (
    *SEE,
    "errors.resolve_errorgroup",
    "incidents.work_incident", "incidents.add_incident", "incidents.change_incident", "incidents.add_timelineentry",
    "incidents.add_postmortem", "incidents.change_postmortem",
    "incidents.add_actionitem", "incidents.change_actionitem",
    "alerts.acknowledge_alert", "alerts.add_suppression", "alerts.change_suppression",
)  # fmt: skip
COMMAND = (*WORK, "incidents.command_incident", "alerts.start_drill",
           "alerts.change_alertrule", "alerts.change_escalationpolicy",
           "alerts.add_escalationstep", "alerts.change_escalationstep", "alerts.delete_escalationstep")  # fmt: skip

ROLES: dict[str, tuple[str, ...]] = {
    "Viewer": SEE,
    "Responder": WORK,
    "Commander": COMMAND,
    "Approver": (*SEE, "incidents.approve_postmortem", "incidents.change_postmortem"),
    "Auditor": (*SEE, "audit.view_auditevent"),
    "Admin": (
        *COMMAND,
        *(f"{room}.{verb}_*" for room in ROOMS for verb in ("add", "change", "delete")),
        "incidents.approve_postmortem", "audit.view_auditevent", "auth.view_*", "auth.add_user", "auth.change_user",
    ),
}  # fmt: skip
