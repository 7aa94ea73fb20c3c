from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gardenerd.core.secrets import redact

# Put together at run time, so that no scanner mistakes this file for a leak.
R = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
SECRETS = {
    "aws": "AKIA" + "Z3DGKLMNOPQR5STU",
    "github": "ghp_" + R + "bCdE",
    "github fine": "github_pat_" + R + R,
    "gitlab": "glpat-" + R[:20],
    "slack": "xoxb-" + "123456789012-" + R[:24],
    "stripe": "sk_live_" + R[:24],
    "google": "AIza" + R + "abc",
    "openai": "sk-proj-" + R + R,
    "anthropic": "sk-ant-" + "api03-" + R + R,
    "jwt": "eyJ" + R + ".eyJ" + R + "." + R,
    "npm": "npm_" + R + "bCdE",
    "pypi": "pypi-AgE" + R + R,
    "hugging face": "hf_" + R + "abcd",
    "sendgrid": "SG." + R[:22] + "." + R + R[:11],
    "private key": "-----BEGIN RSA PRIVATE KEY-----\n"
    + f"{R}\n{R}\n"
    + "-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_known_shapes_are_masked(name: str) -> None:
    secret = SECRETS[name]
    text = f"before = 1\nkey = f('{secret}')\nafter = 2\n"
    masked, count = redact(text)
    assert count == 1
    assert masked == text.replace(secret, re.sub(r"[^\n]", "*", secret))


@pytest.mark.parametrize(
    "line",
    [
        "password = '{}'",
        'API_KEY: str = "{}"',
        '"client_secret": "{}",',
        "const authToken = `{}`;",
        "config['db_password'] = '{}'",
        'token := "{}"',
    ],
)
def test_literals_of_telling_names_are_masked(line: str) -> None:
    secret = "x9Kq2Lm7Zp4Rt8Vw3"
    masked, count = redact(line.format(secret))
    assert (secret in masked, count) == (False, 1)


def test_passwords_in_addresses_are_masked_and_the_rest_kept() -> None:
    masked, count = redact("url = 'postgres://user:s3cr3tpass@db.local/x'")
    assert masked == "url = 'postgres://user:**********@db.local/x'"
    assert count == 1


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['DATABASE_PASSWORD']",
        "token = get_token('refresh-token-endpoint')",
        "secret_name = 'my-application-secrets'",
        "API_KEY = '${API_KEY_FROM_ENV_1}'",
        "password = 'correct horse battery'",
        "token_type = 'Bearer'",
        "TOKEN_URL = 'https://example.org/oauth2/token'",
        "def test_token_1(): pass",
        "sk-learn and sk-something-short",
        "access_key_id = 'AWS_ACCESS_KEY_ID'",
        "see http://localhost:8000/path@2x.png",
    ],
)
def test_ordinary_code_is_left_alone(line: str) -> None:
    assert redact(line) == (line, 0)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.text(max_size=40) | st.sampled_from(sorted(SECRETS.values())),
        max_size=8,
    )
)
def test_length_and_newlines_always_stay(parts: list[str]) -> None:
    text = "\n".join(parts)
    masked, count = redact(text)
    assert len(masked) == len(text)
    assert [i for i, c in enumerate(masked) if c == "\n"] == [
        i for i, c in enumerate(text) if c == "\n"
    ]
    assert (masked == text) == (count == 0)
    for secret in SECRETS.values():
        if secret in parts:
            assert secret not in masked
