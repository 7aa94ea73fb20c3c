"""What is left out. git itself is asked, wherever git has an opinion."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gardenerd.watch.filters import Filter
from gardenerd.watch.rescan import scan
from tests.watch.git_tree import git, kept_by_git, kept_by_us, write

NAMES = ["a.py", "b.txt", "keep.txt", "foo", "bar.py", "x y.txt", "#hash", "!bang", "tab\t", "Ä.py"]
FOLDERS = ["", "src/", "src/deep/", "docs/", "foo.d/", "src/foo/", "a/b/c/", "src/deep/foo/bar/"]

TRICKY = {
    "an excluded folder hides what is taken back inside": {".gitignore": "docs/\n!docs/keep.txt\n"},
    "the contents excluded, one taken back": {".gitignore": "docs/*\n!docs/keep.txt\n"},
    "a whitelist": {".gitignore": "*\n!*/\n!*.py\n"},
    "a whitelist of one folder": {".gitignore": "/*\n!/src\n/src/*\n!/src/deep\n"},
    "anchored and not": {".gitignore": "/foo\nbar.py\n/src/a.py\n"},
    "a slash in the middle anchors": {".gitignore": "deep/foo\nsrc/b.txt\n"},
    "folders only": {".gitignore": "foo/\n"},
    "two stars": {".gitignore": "**/foo\na/**/keep.txt\nsrc/**\n!src/**/a.py\n"},
    "two stars at the end": {".gitignore": "docs/**\n!docs/a.py\n"},
    "nested files decide for their folder": {
        ".gitignore": "*.txt\n",
        "src/.gitignore": "!keep.txt\n*.py\n!/deep/\n",
        "src/deep/.gitignore": "!a.py\n/foo\n",
    },
    "a nested file cannot take back its own folder": {
        ".gitignore": "docs/\n",
        "docs/.gitignore": "!*\n",
    },
    "quoted characters": {".gitignore": "\\#hash\n\\!bang\nx\\ y.txt\n"},
    "comments and blanks": {".gitignore": "# foo\n\n   \n#hash\nfoo   \n"},
    "a quoted trailing blank": {".gitignore": "foo\\ \nb.txt \n"},
    "carriage returns": {".gitignore": "foo\r\n*.txt\r\n!keep.txt\r\n"},
    "a byte order mark": {".gitignore": "\ufefffoo\n*.txt\n"},
    "no newline at the end": {".gitignore": "*.txt"},
    "classes": {".gitignore": "[ab].*\n[!k]eep.txt\n[[:upper:]]*\nba[a-z].py\n"},
    "more classes": {".gitignore": "[[:punct:]]hash\nx[[:space:]]y.txt\nb[\\]a].*\nfo[!/x]\n"},
    "a class never matches a slash": {".gitignore": "src[!a]a.py\ndocs[/]b.txt\n/src[^x]deep\n"},
    "odd ranges": {".gitignore": "[a-]*\n[z-a]*\nba[--z].py\nk[]e]ep.txt\n[[:nope:]]*\n"},
    "a character of two bytes": {".gitignore": "?.py\n"},
    "classes see bytes": {".gitignore": "[Ä][!a].py\n"},
    "broken classes": {".gitignore": "[ab\nfoo[\n*.[\nb.txt\n"},
    "question marks do not cross folders": {".gitignore": "src?a.py\n???\n"},
    "one star does not cross folders": {".gitignore": "src/*/bar\n*/b.txt\n"},
    "slashes alone": {".gitignore": "/\n//\n!\n!/\n*/\n"},
    "order within one file": {".gitignore": "!a.py\na.py\nb.txt\n!b.txt\n"},
    "unicode": {".gitignore": "Ä*\n"},
    "a tab at the end counts": {".gitignore": "tab\t\nfoo\t\n"},
    "a backslash at the end": {".gitignore": "foo\\\nb.txt\n"},
    "info/exclude is weaker": {".git/info/exclude": "*.txt\n*.py\n", ".gitignore": "!keep.txt\n"},
    "a star and a slash": {".gitignore": "*/\n!src/\n"},
    "two stars in a name": {".gitignore": "f**o\nsrc/d**p/\n"},
    "a dot segment": {".gitignore": "./foo\nsrc/./a.py\n"},
    "folder and file of one name": {".gitignore": "foo/*\n!foo/bar/\n"},
}


def fill(root: Path) -> None:
    write(root, {f"{folder}{name}": "x" for folder in FOLDERS for name in NAMES if name != "foo"})
    write(root, {f"{folder}foo": "x" for folder in ("", "docs/", "a/b/c/")})


@pytest.mark.parametrize("rules", TRICKY.values(), ids=TRICKY.keys())
def test_we_keep_exactly_what_git_keeps(root: Path, rules: dict[str, str]) -> None:
    git(root, "init", "-q")
    fill(root)
    write(root, rules)

    assert kept_by_us(root) == kept_by_git(root)


LINES = st.lists(
    st.builds(
        lambda negated, start, middle, end: f"{negated}{start}{middle}{end}",
        st.sampled_from(["", "", "!"]),
        st.sampled_from(["", "/", "**/", "*/"]),
        st.lists(
            st.sampled_from(
                [
                    "*",
                    "**",
                    "src",
                    "deep",
                    "foo",
                    "a",
                    "b",
                    "*.py",
                    "*.txt",
                    "b*",
                    "[ab].*",
                    "?oo",
                    "[!a-c]*",
                    "[[:lower:]]*",
                ]
            ),
            min_size=1,
            max_size=3,
        ).map("/".join),
        st.sampled_from(["", "", "/", "/*", "/**"]),
    ),
    max_size=6,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(top=LINES, nested=LINES)
def test_we_keep_exactly_what_git_keeps_for_any_rules(
    root: Path, top: list[str], nested: list[str]
) -> None:
    if not (root / ".git").exists():
        git(root, "init", "-q")
        fill(root)
    write(root, {".gitignore": "\n".join(top), "src/.gitignore": "\n".join(nested)})

    assert kept_by_us(root) == kept_by_git(root)


def test_the_global_excludes_file_counts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        {
            "one.config": '[core]\n\teditor = vi\n[include]\n\tpath = "two.config"\n',
            "two.config": f'[Core] ; a\n  ExcludesFile = "{tmp_path}/my ignores" # b\n',
            "my ignores": "*.txt\n",
        },
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "one.config"))
    git(root, "init", "-q")
    fill(root)

    assert kept_by_us(root) == kept_by_git(root)
    assert not any(path.endswith(".txt") for path in kept_by_us(root))


def test_the_default_global_excludes_file_counts(root: Path, tmp_path: Path) -> None:
    git(root, "init", "-q")
    fill(root)
    write(tmp_path / "xdg", {"git/ignore": "*.txt\n"})

    assert kept_by_us(root) == kept_by_git(root)
    assert not any(path.endswith(".txt") for path in kept_by_us(root))


def test_case_is_ignored_where_the_repository_says_so(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "config", "core.ignorecase", "true")
    write(root, {"A.TXT": "x", "b.Py": "x", "Foo/c": "x", "kept": "x"})
    write(root, {".gitignore": "*.txt\nB.PY\nfo?/\n"})

    assert kept_by_us(root) == kept_by_git(root) == {"kept", ".gitignore"}


def test_rules_around_a_project_inside_a_repository_count(root: Path) -> None:
    git(root, "init", "-q")
    fill(root)
    write(root, {".gitignore": "*.txt\n/src/deep/a.py\nsrc/foo/\n", "src/.gitignore": "!keep.txt"})

    inside = kept_by_us(root / "src")

    assert inside == {path.removeprefix("src/") for path in kept_by_git(root) if "src/" in path[:4]}
    assert "keep.txt" in inside
    assert "deep/a.py" not in inside


def test_a_repository_around_that_ignores_the_project_does_not_count(root: Path) -> None:
    git(root, "init", "-q")
    fill(root)
    write(root, {".gitignore": "*\n", "src/.gitignore": "*.txt\n"})

    assert "a.py" in kept_by_us(root / "src")
    assert "b.txt" not in kept_by_us(root / "src")


def test_a_linked_worktree_uses_the_main_repositorys_exclude_file(
    root: Path, tmp_path: Path
) -> None:
    git(root, "init", "-q")
    write(root, {"a.py": "x"})
    git(root, "add", ".")
    git(root, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    git(root, "worktree", "add", "-q", "../linked")
    write(root, {".git/info/exclude": "*.txt\n"})
    linked = root.parent / "linked"
    write(linked, {"b.txt": "x", "c.py": "x"})

    assert kept_by_us(linked) == kept_by_git(linked) == {"a.py", "c.py"}


def test_a_link_named_gitignore_is_not_followed(root: Path) -> None:
    git(root, "init", "-q")
    fill(root)
    write(root, {"rules": "*.py\n"})
    (root / ".gitignore").symlink_to("rules")

    kept = kept_by_git(root) - {".gitignore"}  # git lists the link; a link is never indexed
    assert kept_by_us(root) == kept


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_rule_file_that_cannot_be_read_closes_its_folder(root: Path) -> None:
    fill(root)
    write(root, {"src/.gitignore": "*.txt\n"})
    (root / "src/.gitignore").chmod(0)

    assert "cannot be read" in str(Filter(root, 1000).explain("src/a.py"))
    assert not any(path.startswith("src/") for path in kept_by_us(root))


def test_an_enormous_rule_file_closes_its_folder(root: Path) -> None:
    write(root, {"src/a.py": "x", "src/.gitignore": "x\n" * 600_000})

    assert "src/.gitignore is larger" in str(Filter(root, 1000).explain("src/a.py"))


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "sub/.git/HEAD",
        "sub/.git",
        "node_modules/x/index.js",
        "a/.venv/lib/x.py",
        "lib/site-packages/x.py",
        "a/__pycache__/x.py",
        "dist/x.js",
        "web/build/x.js",
        "target/debug/x.rs",
        ".next/x.js",
        "go/vendor/x.go",
        "third_party/x.c",
        "jquery.min.js",
        "api.pb.go",
        "api_pb2.py",
        "app.js.map",
        "poetry.lock",
        "package-lock.json",
        "logo.PNG",
        "model.safetensors",
        ".env",
        ".env.local",
        "prod.env",
        "server.pem",
        "Server.KEY",
        ".ssh/config",
        "id_rsa",
        "id_ed25519.pub",
        ".npmrc",
        "_netrc",
        "credentials.json",
        "credentials",
        "service-account-prod.json",
        "terraform.tfstate.backup",
        "release.keystore",
    ],
)
def test_left_out_without_any_rule(root: Path, path: str) -> None:
    assert Filter(root, 1000).explain(path)


@pytest.mark.parametrize(
    "path",
    [
        "a.py",
        "credentials.py",
        "secrets/reader.go",
        "environment.py",
        "keyboard.ts",
        ".github/workflows/ci.yml",
        "Makefile",
        "map.py",
        "distance/x.c",
        "png/encoder.rs",
        ".png",
    ],
)
def test_kept_without_any_rule(root: Path, path: str) -> None:
    assert Filter(root, 1000).explain(path) is None


def test_a_python_package_named_like_an_output_folder_is_kept(root: Path) -> None:
    write(root, {"src/build/__init__.py": "", "src/build/env.py": "", "build/x.py": ""})

    assert kept_by_us(root) == {"src/build/__init__.py", "src/build/env.py"}


def test_gardenerignore_excludes_and_takes_back_defaults_but_never_more(root: Path) -> None:
    write(
        root,
        {
            ".gitignore": "generated/\n",
            ".gardenerignore": "docs/\n!vendor/\n!generated/\n!.env\n!*.min.js\n",
            "docs/a.md": "",
            "vendor/a.c": "",
            "generated/a.py": "",
            ".env": "",
            "x.min.js": "",
            "sub/.gardenerignore": "*.min.js\n",
            "sub/y.min.js": "",
        },
    )

    assert kept_by_us(root) == {
        ".gitignore",
        ".gardenerignore",
        "vendor/a.c",
        "x.min.js",
        "sub/.gardenerignore",
    }


@pytest.mark.parametrize("marker", ["pyvenv.cfg", "CACHEDIR.TAG"])
def test_environments_and_caches_are_known_by_their_markers(root: Path, marker: str) -> None:
    write(root, {f"odd-name/{marker}": "", "odd-name/lib/x.py": "", "other/x.py": ""})

    assert kept_by_us(root) == {"other/x.py"}


def test_gardeners_own_home_is_left_out(root: Path) -> None:
    write(root, {"own/config.toml": "", "owner.py": ""})
    rules = Filter(root, 1000, own=root / "own")

    assert rules.explain("own/config.toml") == "gardener's own data"
    assert rules.explain("owner.py") is None


def test_explanations_name_the_rule(root: Path) -> None:
    write(root, {"src/.gitignore": "*.tmp\nold/\n"})
    rules = Filter(root, 1000)

    assert rules.explain("src/a.tmp") == "src/.gitignore: *.tmp"
    assert rules.explain("src/old/deep/a.py") == "src/.gitignore: old/"
    assert rules.explain("src/old", folder=True) == "src/.gitignore: old/"
    assert rules.explain("src", folder=True) is None
    assert "1,001 bytes" in str(rules.explain_size(1001))
    assert rules.explain_size(1000) is None


def test_what_was_forgotten_stays_out(root: Path) -> None:
    write(root, {"src/a.py": "", "src/b.py": "", "old/c.py": "", "old/deep/d.py": "", "a.py": ""})
    write(root, {".gardenerignore": "!src/a.py\n"})
    rules = Filter(root, 1000, forgotten={"src/a.py": "this one", "old": "all of it"})

    assert rules.explain("src/a.py") == "this one"
    assert rules.explain("old/deep/d.py") == "all of it"
    assert rules.explain("old", folder=True) == "all of it"
    found = {file.path for file in scan(rules).files}
    assert found == {".gardenerignore", "src/b.py", "a.py"}
    assert [file.path for file in scan(rules, ["src/a.py", "src/b.py"]).files] == ["src/b.py"]
