"""Executing a notebook: the copy is always kept, and an error says where and what."""

import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from workbench.disk import part
from workbench.errors import CannotWrite, ParamsRefused
from workbench.execution import NotebookFailed, execute


def runner(kind, desk, parents):
    def run(*cells, parameters=None, given=None, **options):
        notebook = desk.notebook(*cells, **({"parameters": parameters} if parameters else {}))
        fork = partial(parents.fork, "light") if kind == "forked" else None
        done = execute(notebook, desk.folder / "out.ipynb", given or {}, cwd=desk.folder, fork=fork, **options)
        assert done.kernel == kind
        return desk.folder / "out.ipynb"

    return run


@pytest.fixture
def run(desk, parents):
    """Execute cells in a forked kernel; return the executed copy."""
    return runner("forked", desk, parents)


@pytest.fixture(params=["forked", "ordinary"])
def run_in_both(request, desk, parents):
    """Execute cells in a kernel of each kind; return the executed copy."""
    return runner(request.param, desk, parents)


def test_outputs_of_all_kinds_are_in_the_executed_copy(run_in_both, desk):
    out = run_in_both(
        "print('said')",
        "import sys; print('warned', file=sys.stderr)",
        "{'a': 1}",
        "from IPython.display import HTML; HTML('<b>bold</b>')",
    )
    text = desk.printed(out)
    assert "said" in text
    assert "warned" in text
    shown = [output.data for output in desk.outputs(out) if "data" in output]
    assert {"text/plain": "{'a': 1}"} in shown
    assert any(data.get("text/html") == "<b>bold</b>" for data in shown)


def test_parameters_reach_the_notebook_and_are_written_into_the_copy(run, desk):
    given = {"name": "it's", "count": 3, "share": 0.5, "on": True, "items": ["a"], "sizes": {"b": 1.5}, "end": None}
    source = (
        "name: str = ''\ncount: int = 0\nshare: float = 0.0\non: bool = False\n"
        "items: list[str] = []\nsizes: dict[str, float] = {}\nend: str | None = 'x'"
    )
    out = run("print([name, count, share, on, items, sizes, end])", parameters=source, given=given)
    assert desk.printed(out) == "[\"it's\", 3, 0.5, True, ['a'], {'b': 1.5}, None]\n"
    assert next(cell.source for cell in desk.cells(out) if "injected-parameters" in cell.metadata.tags).count("=") == 7


def test_the_kernel_has_the_folder_and_the_environment_that_were_asked_for(run_in_both, desk, monkeypatch):
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    code = (
        "import os, sys, pathlib\n"
        "print(pathlib.Path.cwd())\n"
        "print(os.environ['FROM_OUTSIDE'], os.environ['MINE'], os.environ['MPLBACKEND'])\n"
        "print(sys.executable, sys.argv[0].rsplit('/')[-1], sys.path[0] in ('', str(pathlib.Path.cwd())))\n"
        "print(__name__, os.getpgid(0) == os.getpid())"
    )
    lines = desk.printed(run_in_both(code, env={"MINE": "1"})).splitlines()
    assert lines[0] == str(desk.folder)
    assert lines[1] == "yes 1 module://matplotlib_inline.backend_inline"
    assert lines[2].split()[0] == sys.executable
    assert "ipykernel_launcher" in lines[2]
    assert lines[3] == "__main__ True"


def test_a_failing_cell_is_named_as_a_person_counts_and_the_copy_has_papermills_anchor(run_in_both, desk):
    with pytest.raises(NotebookFailed) as caught:
        run_in_both("x = 1", "y = x\nraise ValueError('bad\\nnews')", "print('never')", given={"folder": "f"})
    # cell 1 is the title, 2 the parameters; the copy also has the injected ones, so that In counts one more
    assert str(caught.value) == "source.ipynb: cell 4 (In [4]), line 2: ValueError: bad"
    out = desk.folder / "out.ipynb"
    sources = [cell.source for cell in desk.cells(out)]
    assert "papermill-error-cell" in sources[0]
    anchor = next(index for index, source in enumerate(sources) if 'id="papermill-error-cell"' in source)
    assert sources[anchor + 1].endswith("raise ValueError('bad\\nnews')")
    assert "never" not in desk.printed(out)
    assert not (desk.folder / "out.running.ipynb").exists()


def test_a_syntax_error_and_an_error_in_a_called_function_name_the_line_of_the_cell(run):
    with pytest.raises(NotebookFailed, match=r"cell 3 \(In \[2\]\), line 2: SyntaxError: "):
        run("x = 1\nif x")
    with pytest.raises(NotebookFailed, match=r"cell 4 \(In \[3\]\), line 2: JSONDecodeError: Expecting value"):
        run("import json", "text = ''\njson.loads(text)")


def test_a_notebook_that_takes_too_long_is_stopped_and_says_so(run_in_both, desk):
    begun = time.monotonic()
    message = "cell 3 (In [2]): StepTimeout: the notebook took longer than its timeout of 1 s"
    with pytest.raises(NotebookFailed, match=re.escape(message)):
        run_in_both("import time\ntime.sleep(60)", timeout_seconds=1.0)
    assert time.monotonic() - begun < 8.0
    assert "StepTimeout" in [output.get("ename") for output in desk.outputs(desk.folder / "out.ipynb")]


def test_the_time_limit_is_that_of_the_whole_notebook(run):
    with pytest.raises(NotebookFailed, match=r"cell [67] .*StepTimeout"):
        run("import time", *["time.sleep(0.35)"] * 4, timeout_seconds=1.15)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os\nos.kill(os.getpid(), 9)", "KernelDied: the kernel was killed (signal 9): often the system did"),
        ("import os\nos.kill(os.getpid(), 11)", "KernelDied: the kernel crashed (SIGSEGV)"),
        ("import os\nos._exit(3)", "KernelDied: the kernel ended with status 3"),
    ],
)
def test_a_kernel_that_dies_is_an_error_in_its_cell(run, code, message):
    with pytest.raises(NotebookFailed, match=re.escape(message)):
        run(code)


def test_an_ordinary_kernel_that_dies_is_the_same_error(desk, parents):
    with pytest.raises(NotebookFailed, match=re.escape("KernelDied: the kernel was killed (signal 9)")):
        runner("ordinary", desk, parents)("import os\nos.kill(os.getpid(), 9)")


def test_a_stop_file_ends_it_soon(run, desk):
    begun = time.monotonic()
    with pytest.raises(NotebookFailed, match="Stopped: the run was stopped"):
        run("import time\nopen('stop', 'w').close()\ntime.sleep(60)", stop=desk.folder / "stop")
    assert time.monotonic() - begun < 8.0


def test_a_parameter_error_stops_before_a_kernel_starts(run, desk):
    with pytest.raises(ParamsRefused, match=r"unknown parameter 'foldr'. Did you mean 'folder'\?"):
        run("open('ran', 'w')", given={"foldr": ""})
    assert sorted(file.name for file in desk.folder.iterdir()) == ["source.ipynb"]


def test_what_a_kernel_registered_for_its_end_is_done(run_in_both, desk):
    run_in_both(
        "import atexit, threading, time\n"
        "atexit.register(lambda: open('at_exit', 'w').close())\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), open('thread', 'w').close())).start()"
    )
    assert (desk.folder / "at_exit").exists()
    assert (desk.folder / "thread").exists()


def test_what_a_kernel_started_ends_with_it(run, desk, is_alive):
    assert not is_alive(int(desk.printed(run("import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid)"))))


def test_nothing_is_left_in_the_temporary_folder_and_a_silent_kernel_leaves_no_log(run, desk, monkeypatch):
    # Not below tmp_path: the address of a kernel's socket has 107 letters at most.
    with tempfile.TemporaryDirectory(prefix="wb-") as scratch:
        monkeypatch.setattr(tempfile, "tempdir", scratch)
        run("1")
        assert list(Path(scratch).iterdir()) == []
        monkeypatch.undo()
    assert sorted(file.name for file in desk.folder.iterdir()) == ["out.ipynb", "source.ipynb"]


def test_startup_files_of_the_user_do_not_run(run, desk, monkeypatch, tmp_path):
    startup = tmp_path / "home" / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "surprise.py").write_text("surprise = 1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IPYTHONDIR", raising=False)
    assert desk.printed(run("print('surprise' in globals())")) == "False\n"


def test_a_folder_with_braces_in_its_name_works(desk, parents):
    folder = desk.folder / "{odd} name"
    folder.mkdir()
    notebook = type(desk)(folder).notebook("print(1)")
    execute(notebook, folder / "out.ipynb", {}, cwd=folder, fork=partial(parents.fork, "light"))
    assert desk.printed(folder / "out.ipynb") == "1\n"


def test_a_cell_that_may_raise_still_fails_the_notebook(desk, parents):
    notebook = desk.write("source", "1/0")
    text = notebook.read_text().replace('"tags": [\n     "parameters"', '"tags": [\n     "parameters"')
    notebook.write_text(
        text.replace('"metadata": {},\n   "outputs"', '"metadata": {"tags": ["raises-exception"]}, "outputs"')
    )
    assert "raises-exception" in notebook.read_text()
    from workbench.notebook import read_notebook

    with pytest.raises(NotebookFailed, match="ZeroDivisionError"):
        execute(
            read_notebook(notebook), desk.folder / "out.ipynb", {}, cwd=desk.folder, fork=partial(parents.fork, "light")
        )


def test_an_output_folder_that_cannot_be_written_is_one_clear_line(desk, parents):
    blocked = desk.folder / "file"
    blocked.touch()
    with pytest.raises(CannotWrite, match=r"file/out.ipynb: Not a directory"):
        execute(desk.notebook("1"), blocked / "out.ipynb", {}, cwd=desk.folder, fork=partial(parents.fork, "light"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_clear_line(desk, parents):
    part(desk.folder / "out.running.ipynb").symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="No space left on device"):
        execute(desk.notebook("1"), desk.folder / "out.ipynb", {}, cwd=desk.folder, fork=partial(parents.fork, "light"))


def test_checking_a_notebook_loads_neither_papermill_nor_jupyter():
    code = (
        "import sys, workbench.notebook; print(sorted({'papermill', 'jupyter_client', 'nbformat'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("how", ["sys.exit(0)", "raise SystemExit", "sys.exit('enough')"])
def test_a_cell_that_ends_its_notebook_has_failed_whatever_it_exits_with(run, desk, how):
    exits_with = "enough" if "enough" in how else "0"
    message = f"cell 3 (In [2]): SystemExit: the cell ended the notebook (exit {exits_with}): no cell after it was run"
    with pytest.raises(NotebookFailed, match=re.escape(message)):
        run(f"import sys\n{how}", "raise ValueError('never')")
