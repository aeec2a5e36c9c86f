"""300 hostile form bodies over HTTP; Soak/test_hostile_forms.py sends 10,000. And the same seed gives the same bodies."""

import hostile_forms
from unread import MIB


def test_hostile_form_bodies(database):
    hostile_forms.check_forms(300, 20, database, 32 * MIB)


def test_a_seed_gives_the_same_bodies():
    first, again, other = (hostile_forms.HostileForms(seed).requests(80) for seed in (1, 1, 2))
    assert first == again != other and len({kind for kind, _ in first}) >= 35


def test_a_wrong_reply_is_found():
    page = b"HTTP/1.1 400 Bad\r\ncontent-type: text/html\r\n\r\n"
    for answer in (b"", b"HTTP/1.1 500 x\r\n\r\n", page + b"<p>no reason", page + b'<p role="alert"><script>',
                   b"HTTP/1.1 201 x\r\ncontent-type: text/plain\r\n\r\n", b"HTTP/1.1 303 x\r\nlocation: https://evil.example\r\n\r\n",
                   b"HTTP/1.1 303 x\r\nlocation: https://www.example.com.evil.example/\r\n\r\n",
                   b"HTTP/1.1 413 x\r\ncontent-type: application/problem+json\r\n\r\n{}"):
        assert hostile_forms.fault("as_a_good_form", answer), answer
    assert not hostile_forms.fault("as_a_good_form", page + b'<p role="alert">why')
