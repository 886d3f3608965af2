"""Secrets that are known by what stands before them, in commands and files that people paste."""

import json
from pathlib import Path

import pytest

from cli.redact.redactor import Redactor
from tests.support.each import each

TAKEN = [
    ("machine h login jane password hunter2x9", "hunter2x9"),
    ("machine api.example.com\n  login jane\n  password hunter2", "hunter2"),
    ("+machine h\n+login jane\n+password hunter2", "hunter2"),
    ("default login anonymous password me@x", "me@x"),
    ("machine h password sesame login jane", "sesame"),
    ('{"x": "machine h\\nlogin jane\\npassword hunter2\\n"}', "hunter2"),
    ("db.example.com:5432:*:jane:sesame", "sesame"),
    ("*:*:*:jane:sesame", "sesame"),
    ("curl -u user:pw https://x", ":pw"),
    ("curl -sSu jane:pw1234 https://x?a=1&b=2", "pw1234"),
    ("curl 'https://x?a=1&b=2' -H 'x: y' --user \"jane:pw word\" -o x", "pw word"),
    ("curl -ujane:sesame x", "sesame"),
    ("curl \\\n  --user jane:sesame \\\n https://x", "sesame"),
    ("curl --proxy-user p:one1 -u q:two2 x", "two2"),
    ('subprocess.run(["curl", "-u", "jane:sesame"])', "sesame"),
    ('{"cmd":"curl -u \\"jane:sesame\\" x"}', "sesame"),
    ('curl -u "$USER:sesame" x', "sesame"),
    ("/usr/bin/curl --user='jane:sesame'", "sesame"),
    ("mysql -ppw", "-ppw"),
    ("mysql -u root -psesame db", "sesame"),
    ("mysqldump -uroot -p'ses ame' db > x", "ses ame"),
    ("docker exec -it db mysql -uroot -psesame", "sesame"),
    ("mysql --password=pw", "=pw"),
    ("docker login -p pw", "-p pw"),
    ("docker login -u jane -p sesame registry.example.com", "sesame"),
    ("docker login --password sesame -u jane", "sesame"),
    ("podman login --password=sesame", "sesame"),
    ("az login -u a@b.c -p sesame", "sesame"),
    ("sshpass -p pw ssh -p 22 h", "-p pw "),
    ("sshpass -psesame ssh h", "sesame"),
    ("sshpass -p 'ses ame' rsync", "ses ame"),
    ("mongosh mongodb://h -u jane -p sesame", "sesame"),
    ("redis-cli -h x -a sesame ping", "sesame"),
    ("ldapsearch -x -D cn=a -w sesame", "sesame"),
    ("openssl enc -aes-256-cbc -pass pass:sesame -in x", "sesame"),
    ("gpg --batch --passphrase sesame -c x", "sesame"),
    ("wget --user jane --password sesame x", "sesame"),
    ("unzip -P sesame x.zip", "sesame"),
    ("echo sesame | sudo -S apt", "sesame"),
    ('echo -n "sesame" | docker login -u jane --password-stdin', "sesame"),
    ("tool --db-password hunter2 x", "hunter2"),
    ("tool --password=sesame x", "sesame"),
    ("PGPASSWORD=pw psql", "=pw"),
    ("export PGPASSWORD='ses ame'", "ses ame"),
    ("docker run -e POSTGRES_PASSWORD=sesame -p 80:80 postgres", "sesame"),
    ("MYSQL_PWD=sesame mysql", "sesame"),
    ("SSHPASS=sesame sshpass -e ssh", "sesame"),
    ("kubectl create secret generic x --from-literal=password=sesame", "sesame"),
    ("protocol=https\npassword=sesame\n", "sesame"),
    ("host=x user=y password=hunter2", "hunter2"),
    ("Server=x;Password=hunter2;Pwd=ab12", "ab12"),
    ("AWS Secret Access Key [None]: wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKE", "wJalr"),
    ('curl -H "Authorization: Bearer abc123def" x', "abc123def"),
    ("curl -H 'Authorization: Basic amFuZTpodW50ZXIy' x", "amFuZ"),
    ('{"Authorization": "Token abc123def"}', "abc123def"),
    ('{"auths":{"x":{"auth": "amFuZTpodW50ZXIy"}}}', "amFuZ"),
    ("//registry.npmjs.org/:_auth=amFuZTpodW50ZXIy", "amFuZ"),
]
"""Texts, and the part of each that goes."""

KEPT = [
    "mysql -p",
    "mysql -u root -p mydb",
    'mysql -u root -p"$PASS" db',
    "mysql -p$PASS db",
    "mysql -p<password> db",
    "mysql --protocol=tcp -P 3306",
    "mysql -h x && mkdir -pv y",
    "docker run -p 80:80 x",
    "docker run --name mysql -p3306:3306 mysql:8",
    "docker run --name mongo -p 27017:27017 mongo",
    "docker login",
    "docker login -u jane --password-stdin",
    "docker login -u jane -p $TOKEN",
    "docker login && docker run -p 80:80 x",
    "ssh -p 22 host",
    "sshpass -e ssh -p 2222 h",
    "sshpass -f file ssh -p 2222 h",
    "use `curl -u` to log in: it asks for a password",
    "with curl -u, the user: then the password",
    "curl -u jane https://example.com:8080/x",
    'curl -u "$USER:$PASS" x',
    "curl -u <user>:<password> x",
    "curl -u user:password x",
    "curl https://example.com -o out:file",
    "curl x && docker run -u 1000:1000 y",
    "curl x; docker run -u 1000:1000 y",
    "the machine has a login and a password prompt",
    "the machine learning login page password reset",
    "main.py:12:5:error:bad",
    "PGPASSWORD=$PW psql",
    'PGPASSWORD="$(cat x)" psql',
    "PGPASSWORD=${PW:-x}",
    'PASSWORD = os.environ["X"]',
    'PASSWORD=os.environ["X"]',
    "ALLOW_EMPTY_PASSWORD=yes",
    "PGPASSFILE=/x",
    "OLDPWD=/opt/x1",
    "--password is required",
    "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
    'parser.add_argument("--password", help="the password of v2")',
    "--password=<password> --password=PASSWORD",
    "echo hello | docker build -",
    'echo "$PW" | docker login --password-stdin',
    "redis-cli -a $PW",
    "openssl -passin file:x",
    "--from-literal=mode=dev1",
    "    password=password,",
    "password=get_password()",
    "Authorization: Bearer token",
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer <token>",
    "Authorization: Basic auth is used",
    '"auth": "required"',
    '"auth": "chatgpt"',
    "tar -xzf x -P 2 && zip -r x.zip y",
]


def test_passwords_in_commands_and_files_are_taken_out() -> None:
    def check(case: tuple[str, str]) -> None:
        text, secret = case
        for value in (text, {"x": f"{text}\n"}, [f"a\n{text}"], json.dumps({"cmd": text})):
            clean = json.dumps(Redactor().value(value), ensure_ascii=False)
            assert secret not in clean
            assert "[redacted " in clean

    each(TAKEN, check)


def test_what_only_looks_like_a_password_stays() -> None:
    def check(text: str) -> None:
        assert Redactor().value({"x": text}) == {"x": text}

    each(KEPT, check)


def test_the_rest_of_a_command_stays() -> None:
    clean = Redactor().text("curl -u jane:sesame -o out.txt https://x.example/?a=1 && ssh -p 22 h")
    assert clean == (
        "curl -u jane:[redacted password] -o out.txt https://x.example/?a=1 && ssh -p 22 h"
    )


def test_commands_may_be_lists_of_words() -> None:
    words = ["docker", "login", "-u", "jane", "-p", "sesame", "registry.example.com"]
    assert Redactor().value({"command": words}) == {
        "command": [*words[:5], "[redacted password]", words[6]]
    }
    for kept in (["docker", "run", "-p", "80:80"], ["curl", "-u", "jane", "https://x:80"]):
        assert Redactor().value(kept) == kept


def test_headers_may_be_keys() -> None:
    clean = Redactor().value({"Authorization": "Bearer abc123def", "auth": "amFuZTpodW50ZXIy"})
    assert clean == {"Authorization": "Bearer [redacted token]", "auth": "[redacted token]"}
    assert Redactor().value({"authorization": "required"}) == {"authorization": "required"}


def test_the_home_is_taken_out_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dev"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    for path in (home, tmp_path / "link"):
        assert Redactor().text(f"cd {path}/code; ls {path}s") == f"cd /home/user/code; ls {path}s"


def test_folders_of_the_system_are_no_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("/", "/app", "/var/tmp"):
        monkeypatch.setenv("HOME", home)
        assert Redactor().text(f"ls {home}/x /opt") == f"ls {home}/x /opt"


@pytest.mark.parametrize(
    ("folder", "text", "clean"),
    [
        ("/srv/people/jane/code", "/srv/people/jane/x of Jane", "/home/user/x of user"),
        ("/data/users/jane", "file:///data/users/jane", "file:///home/user"),
        ("/srv/x/jane/.codex", "/srv/x/jane/code", "/home/user/code"),
        ("/home/corp/jane/x", "/home/corp/jane/x", "/home/user/jane/x"),
        ("/srv/app/src/users/views", "/srv/app/src/users/views", "/srv/app/src/users/views"),
    ],
)
def test_homes_follow_from_folders(folder: str, text: str, clean: str) -> None:
    redactor = Redactor()
    redactor.look_at(folder)
    assert redactor.text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "curl -u a:b " * 4_000,
        "curl" + " -u a:b" * 10_000,
        "machine" + "\\n" * 100_000,
        "machine a login " * 5_000,
        "--a-" * 80_000 + "password=",
        "A" * 300_000 + "PASSWORD=x",
        '"auth":"' + "A" * 300_000,
    ],
    ids=lambda text: text[:12],
)
def test_long_commands_do_not_take_for_ever(text: str) -> None:
    Redactor().value({"x": text})
