"""Records say the commit that measured them."""

import subprocess

from benchmarks.suite.provenance import commit


def test_the_commit_says_whether_files_differ_from_it(tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=me", "-c", "user.email=me@here"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert commit(tmp_path) == ""
    git("init")
    (tmp_path / "mine.py").write_text("")
    git("add", "mine.py")
    git("commit", "-m", "one")
    assert commit(tmp_path) == git("rev-parse", "HEAD")[:10]
    (tmp_path / "mine.py").write_text("# another\n")
    assert commit(tmp_path) == git("rev-parse", "HEAD")[:10] + "+changes"
    monkeypatch.setenv("PATH", str(tmp_path))  # in which there is no git
    assert commit(tmp_path) == ""
