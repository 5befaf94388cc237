"""Alice, Bob, Carol and Mallory."""

from django.contrib.auth.models import Group, User

PASSWORD = "correct horse battery staple"


def make_person(name: str = "alice", *roles: str, **facts) -> User:
    """A person of the portal with these roles; staff, so that the admin lets them in at all."""
    facts = {"is_staff": True, "password": PASSWORD} | facts
    person = User.objects.create_user(name, f"{name}@example.org", **facts)
    person.groups.set(Group.objects.filter(name__in=roles))
    assert person.groups.count() == len(roles)
    return person
