"""The built-in text is the same on every call and needs nothing but Python."""

from pydoc_data.topics import topics

from riverrun.data import builtin


def test_the_built_in_text_has_every_topic_in_alphabetical_order() -> None:
    text = builtin.text()
    assert text == builtin.text()
    rest = text + "\n"
    for name in sorted(topics):
        assert rest.startswith(topics[name] + "\n")
        rest = rest[len(topics[name]) + 1 :]
    assert rest == ""
    assert "pydoc_data.topics" in builtin.name()
