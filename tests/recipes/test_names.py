"""What a new app may be called, and what its name becomes in the files in which it is registered."""

import pytest

from landcontracts.embedded.stack import BASE
from landcontracts.scaffold import names
from landcontracts.scaffold.registrations import App


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("documents", "there is such an app"),
        ("Surveys", "small letters"),
        ("sur-veys", "small letters"),
        ("v1", "small letters"),
        ("class", "a keyword"),
        ("", "small letters"),
        ("none", "two meanings"),
        ("entry", "two meanings"),
        ("system", "two meanings"),
        ("password", "two meanings"),
        ("json", "a Python module"),
        ("sessions", "an installed app"),
        ("contenttypes", "an installed app"),
        ("gateway", "an installed app"),
        ("web", "a host"),
        ("default", "a host"),
        ("s" * 19, "at most 18 letters"),
    ],
)
def test_a_name_that_is_taken_or_misspelt_is_refused(name: str, why: str):
    with pytest.raises(names.NameNotUsable, match=f"^'{name}': .*{why}"):
        names.check(name, BASE)


@pytest.mark.parametrize("name", ["surveys", "classes", "keys", "s" * 18])
def test_any_other_name_is_accepted(name: str):
    names.check(name, BASE)


@pytest.mark.parametrize("title", ['"quoted"', "a\\", "{{ x }}", "two\nlines", " ", "50 %"])
def test_a_title_is_plain_text(title: str):
    with pytest.raises(names.NameNotUsable, match="printable"):
        names.check_title(title)


def test_a_name_that_holds_another_placeholder_is_filled_in_whole():
    assert App("classes", "", "").fill("NAME KEY FakeCLASS") == "classes CLASSES FakeClasses"
