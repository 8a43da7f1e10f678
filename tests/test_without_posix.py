"""The main commands, run to the end where Python lacks what only POSIX has, and where text is not UTF-8 by default."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import mne
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

#: What Python has on POSIX systems alone. Our code meets errors, in whichever process; libraries keep what they use.
WORLD = '''
import builtins, ctypes, os, signal, sys

MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "pty", "tty", "syslog", "posix", "_posixsubprocess")
CALLS = {
    os: ("fork", "forkpty", "symlink", "link", "getuid", "geteuid", "getgid", "uname", "sysconf", "statvfs", "kill",
         "killpg", "setsid", "getpgid", "mkfifo", "nice", "chown", "lchown", "wait", "wait4", "getloadavg",
         "sched_getaffinity", "sched_setaffinity", "posix_fadvise", "pread", "O_PATH", "O_CLOEXEC", "O_DIRECTORY"),
    signal: ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGXCPU", "alarm", "setitimer", "pause",
             "pthread_kill", "siginterrupt"),
}


def is_ours(depth=2):
    """Whether the call comes from a file of ours, of the package or of a checkpoint."""
    name = str(sys._getframe(depth).f_globals.get("__name__", ""))
    return name.split(".")[0] in ("mdjpt_hf", "isolated", "transformers_modules")


found_import = builtins.__import__


def without_modules(name, *rest, **options):
    if name.partition(".")[0] in MODULES and is_ours():
        raise ModuleNotFoundError(f"no {name} here", name=name)
    return found_import(name, *rest, **options)


class Without(type(os)):
    """A module that hides names from our code."""

    def __getattribute__(self, name):
        if name in object.__getattribute__(self, "_hidden") and is_ours():
            raise AttributeError(f"module {object.__getattribute__(self, '__name__')!r} has no attribute {name!r}")
        return object.__getattribute__(self, name)


builtins.__import__ = without_modules
for module, names in CALLS.items():
    module._hidden = frozenset(names)
    module.__class__ = Without

found_library = ctypes.CDLL.__init__


def load_library(self, name=None, *rest, **options):
    if name is None and is_ours():
        raise TypeError("there is no library without a name here")
    return found_library(self, name, *rest, **options)


ctypes.CDLL.__init__ = load_library
'''

#: One process for all commands, so that libraries are loaded once; its children have the world from `sitecustomize`.
COMMANDS = """
import sys, time, warnings
import world
import mdjpt_hf.modeling.isolated_mdjpt as isolated
isolated._START = "import sys; sys.path.insert(0, %r); import world\\n" % sys.argv[1] + isolated._START
from mdjpt_hf.cli import main
for line in open("commands.txt", encoding="utf-8"):
    sys.argv = ["mdjpt", *line.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (line, end.code)
    print("done:", line, flush=True)
"""

RUN = """
data prepare recordings --table my.csv --out mine --workers 2
pretrain --data mine --config demo --steps 2 --output-dir encoder
finetune encoder --data mine --target label --method head --steps 2 --out classifier
evaluate encoder --data mine --protocol few-shot --out evaluation
predict classifier s0.edf --json answer.json
"""


def write_recordings(folder):
    names = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
    lines = ["file,subject,session,stimulus,onset,duration,label"]
    for subject in range(4):
        signal = np.random.default_rng(subject).normal(0, 2e-5, (len(names), 60 * 250))
        raw = mne.io.RawArray(signal, mne.create_info(names, 250, "eeg"), verbose="ERROR")
        raw.export(folder / f"s{subject}.edf", verbose="ERROR")
        for clip, label in enumerate(("fröhlich", "traurig")):
            lines.append(f"s{subject}.edf,s{subject},1,clip{clip},{30 * clip},30,{label}")
    (folder / "my.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_the_main_commands_run_without_posix(tmp_path):
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "world.py").write_text(WORLD)
    (tmp_path / "world" / "sitecustomize.py").write_text("import world\n")
    (tmp_path / "commands.txt").write_text(RUN.strip())
    (tmp_path / "run.py").write_text('if __name__ == "__main__":\n' + textwrap.indent(COMMANDS, "    "))
    write_recordings(tmp_path)
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "world"),
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "cp1252",  # what a Windows console of western Europe can show
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "ACCELERATE_USE_CPU": "true",
    }
    command = [sys.executable, "run.py", str(tmp_path / "world")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=600)
    output = done.stdout.decode("cp1252") + done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, output[-4000:]
    assert output.count("done:") == len(RUN.strip().splitlines())
    assert (tmp_path / "encoder" / "model.safetensors").is_file() and (tmp_path / "answer.json").is_file()


def test_the_world_would_notice(tmp_path):
    (tmp_path / "world.py").write_text(WORLD)
    probe = """
import sys, world
calls = ("import fcntl", "import os; os.fork", "import ctypes; ctypes.CDLL(None)", "import signal; signal.SIGKILL")
for statement in calls:
    try:
        exec(statement, {"__name__": "mdjpt_hf.probe"})
    except (ImportError, AttributeError, TypeError):
        print("refused")
    exec(statement.replace("os.fork", "os.getpid"), {"__name__": "somebody.else"})
"""
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["refused"] * 4, done.stderr


def text_without_encoding(path: Path) -> list[str]:
    """Calls that read or write text in whatever encoding the system prefers: not UTF-8 on Windows."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(word.arg in ("encoding", None) for word in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("read_text", "write_text"):
            is_text = len(node.args) < (2 if name == "write_text" else 1)
        elif isinstance(node.func, ast.Name) and name == "open":
            mode = node.args[1] if len(node.args) > 1 else ast.Constant("r")
            is_text = not isinstance(mode, ast.Constant) or "b" not in mode.value
        else:
            continue
        if is_text:
            found.append(f"{path.name}:{node.lineno}")
    return found


@pytest.mark.parametrize("part", ["modeling", "data_scripts", "mdjpt_hf"])
def test_text_is_utf8_on_every_system(part):
    files = [path for path in (ROOT / part).rglob("*.py") if not any(place.is_symlink() for place in path.parents)]
    assert files and sum(map(text_without_encoding, files), []) == []


def test_an_encoding_left_out_would_be_noticed(tmp_path):
    (tmp_path / "wrong.py").write_text("open('a')\nopen('b', 'rb')\nPath('c').write_text('x')\n")
    assert text_without_encoding(tmp_path / "wrong.py") == ["wrong.py:1", "wrong.py:3"]
