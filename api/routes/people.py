"""People who sign in with a password: an admin adds and changes them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from api.dependencies import TheService
from api.errors import problems
from api.schemas.base import Page, Schema
from api.schemas.people import NewPassword, PersonChange, PersonName, PersonRequest, PersonShown
from api.security import AsAdmin
from telephony.errors import DatabaseUnavailable
from telephony.people.rules import (
    LastAdmin,
    PasswordWeak,
    Person,
    PersonExists,
    PersonInvalid,
    PersonNotFound,
)

router = APIRouter(tags=["people"])
ThePerson = Annotated[PersonName, Path()]
NULL_IS_SAID = {"agent", "sees_numbers"}


class Ended(Schema):
    """How many sessions were ended."""

    ended: int = Field(ge=0)


@router.get("/people", responses=problems(DatabaseUnavailable, reads_input=False))
async def list_people(service: TheService, _who: AsAdmin) -> Page[PersonShown]:
    """Everybody who may sign in, and who no longer may."""
    return Page(items=[_shown(row) for row in await service.people.everybody()], next=None)


@router.post(
    "/people",
    status_code=201,
    responses=problems(PersonInvalid, PasswordWeak, PersonExists, DatabaseUnavailable),
)
async def add_person(body: PersonRequest, service: TheService, who: AsAdmin) -> PersonShown:
    """Somebody new, with a first password that they change themselves."""
    told = body.model_dump(exclude={"password"})
    person = Person(**told | {"roles": tuple(body.roles)})
    password = body.password.get_secret_value()
    return _shown(await service.people.add(person, password, by=who.name, role=who.role))


@router.patch(
    "/people/{person}",
    responses=problems(PersonNotFound, PersonInvalid, LastAdmin, DatabaseUnavailable),
)
async def change_person(
    person: ThePerson, body: PersonChange, service: TheService, who: AsAdmin
) -> PersonShown:
    """Change roles and what else a person is; `"active": false` signs them out for good.

    It counts from the person's next request on.
    """
    told = body.model_dump(exclude_unset=True)
    changes: dict[str, Any] = {
        name: tuple(value) if name == "roles" else value
        for name, value in told.items()
        if value is not None or name in NULL_IS_SAID
    }
    row = await service.people.change(person, changes, by=who.name, role=who.role)
    service.sessions.forget(person)
    return _shown(row)


@router.post(
    "/people/{person}/password",
    status_code=204,
    responses=problems(PersonNotFound, PasswordWeak, DatabaseUnavailable),
)
async def give_password(
    person: ThePerson, body: NewPassword, service: TheService, who: AsAdmin
) -> None:
    """A new password for somebody; they are signed out everywhere."""
    password = body.password.get_secret_value()
    await service.people.set_password(person, password, by=who.name, role=who.role)
    service.sessions.forget(person)


@router.delete("/people/{person}/sessions", responses=problems(PersonNotFound, DatabaseUnavailable))
async def end_sessions(person: ThePerson, service: TheService, who: AsAdmin) -> Ended:
    """Sign somebody out wherever they are signed in."""
    ended = await service.people.sign_out(person, by=who.name, role=who.role)
    service.sessions.forget(person)
    return Ended(ended=ended)


def _shown(row: dict[str, Any]) -> PersonShown:
    return PersonShown.model_validate(row)
