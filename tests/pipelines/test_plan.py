"""A pipeline file with a mistake in it is refused in one line, before anything runs."""

import re

import pytest

from workbench.errors import InputRefused, ParamsRefused
from workbench.params import Settings
from workbench.plan import plan, read_pipeline


def planned(project, settings=None):
    pipeline = read_pipeline("p", project.paths)
    return plan(pipeline, settings or project.settings, project.paths)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({}, "'steps' is {}: Dictionary should have at least 1 item"),
        ({"a": {}}, "'steps.a.notebook': Field required"),
        ({"a": {"notebok": "a"}}, "unknown key 'steps.a.notebok'. Did you mean 'notebook'?"),
        ({"a": {"notebook": "a", "retries": 99}}, "'steps.a.retries' is 99: Input should be less than or equal to 10"),
        ({"a": {"notebook": "a", "retries": True}}, "'steps.a.retries' is true, it must be a number"),
        ({"a": {"notebook": "a", "timeout": 0}}, "'steps.a.timeout' is 0: Input should be greater than 0"),
        ({"a": {"notebook": "a", "needs": ["b"]}}, "'steps.a.needs': unknown 'b'. Known: a."),
        ({"a": {"notebook": "a", "feeds": ["aa"]}}, "'steps.a.feeds': unknown 'aa'. Did you mean 'a'?"),
        ({"a": {"notebook": "a", "settings": ["cost"]}}, "'steps.a.settings': unknown 'cost'. Did you mean 'costs'?"),
        ({"a": {"notebook": "a", "warm": "hot"}}, "'steps.a.warm': unknown 'hot'. Known: light."),
        ({"a": {"notebook": "a", "foreach": {"x": "strategys"}}}, "unknown 'strategys'. Did you mean 'strategies'?"),
        ({"a": {"notebook": "a", "foreach": {"x": "costs.borrow"}}}, "unknown 'borrow'."),
        (
            {"a": {"notebook": "a", "params": {"x": "b"}, "foreach": {"x": "strategies"}}},
            "'steps.a.params.x': 'foreach' fills it in; take one of them out",
        ),
        ({"a": {"notebook": "a", "foreach": {"x": "market"}}}, "settings.market is 'sample'; it must be a list"),
        ({"a": {"notebook": "a", "foreach": {"x": "a", "y": "b"}}}, "'steps.a.foreach' is {'x': 'a', 'y': 'b'}"),
        ({"a-b": {"notebook": "a"}}, "step 'a-b' cannot name a folder"),
        ({"../a": {"notebook": "a"}}, "step '../a' cannot name a folder"),
        (
            {"a": {"notebook": "a", "writes": ["t"]}, "b": {"notebook": "a", "writes": ["t"]}},
            "steps a and b both write 't'; let one of them",
        ),
        (
            {
                "a": {"notebook": "a", "needs": ["c"]},
                "b": {"notebook": "a", "needs": ["a"]},
                "c": {"notebook": "a", "needs": ["b"]},
            },
            "'steps' runs in a circle: ",
        ),
        ({"a": {"notebook": "a", "needs": ["a"]}}, "'steps' runs in a circle: a -> a; take one arrow out"),
        ({"a": {"notebook": "a", "params": {"folder": "x"}}}, "'steps.a.params.folder': the pipeline fills it in"),
    ],
)
def test_a_mistake_in_a_step_is_named(project, steps, message):
    project.desk.write("a")
    project.pipeline(steps, warm={"light": ["json"]})
    with pytest.raises(ParamsRefused, match=re.escape(message)) as caught:
        planned(project)
    assert str(caught.value).startswith("pipelines/p.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "q"}, "pipelines/p.yaml: 'name' is 'q'; it must be 'p', as the file"),
        ({"stepz": {}}, "pipelines/p.yaml: unknown key 'stepz'. Did you mean 'steps'?"),
        ({"warm": {"a": ["json", "b"], "b": ["wave"]}}, "'warm.a': only its first entry may name a group"),
        ({"warm": {"base": ["json"]}}, "'warm.base': only its first entry may name a group, and none is 'base'"),
        ({"warm": {"a": ["b"], "b": ["a"]}}, "'warm' runs in a circle: "),
        ({"warm": {"a": ["a"]}}, "'warm' runs in a circle: a -> a"),
    ],
)
def test_a_mistake_beside_the_steps_is_named(project, more, message):
    project.desk.write("a")
    project.pipeline({"a": {"notebook": "a"}}, **more)
    with pytest.raises(ParamsRefused, match=re.escape(message)):
        planned(project)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"notebook": "wlak"}, "notebooks/wlak.ipynb: no such notebook. Did you mean 'walk.ipynb'?"),
        ({"notebook": "bare"}, 'notebooks/bare.ipynb: a step takes the parameter  folder: str = ""  and this has none'),
        (
            {"notebook": "walk", "params": {"dayz": 1}},
            "notebooks/walk.ipynb: unknown parameter 'dayz'. Did you mean 'days'?",
        ),
        (
            {"notebook": "walk", "params": {"days": "9"}},
            "notebooks/walk.ipynb: parameter 'days' is '9'; it must be int",
        ),
        ({"notebook": "walk"}, "notebooks/walk.ipynb: parameter 'days: int' has no default and was not given"),
        (
            {"notebook": "walk", "params": {"days": 1}, "foreach": {"strateg": "strategies"}},
            "notebooks/walk.ipynb: unknown parameter 'strateg'. Did you mean 'strategy'?",
        ),
    ],
)
def test_a_notebook_that_does_not_fit_is_named_and_nothing_runs(project, step, message):
    project.desk.write("first", "open('ran', 'w')")
    project.desk.write("bare", parameters="x: int = 1")
    project.desk.write("walk", parameters='folder: str = ""\nstrategy: str = "x"\ndays: int')
    project.pipeline({"first": {"notebook": "first"}, "walk": {**step, "needs": ["first"]}})
    with pytest.raises(InputRefused, match=re.escape(message)):
        project.run()
    assert not project.paths.data.exists()


def test_an_item_that_cannot_name_a_folder_is_refused(project):
    project.desk.write("a", parameters='folder: str = ""\nx: str = ""')
    project.pipeline({"a": {"notebook": "a", "foreach": {"x": "strategies"}}})
    with pytest.raises(ParamsRefused, match=re.escape("'../up' of settings.strategies cannot name a folder")):
        planned(project, Settings(strategies=("ok", "../up")))
    with pytest.raises(ParamsRefused, match=r"settings.strategies is \[\]; it must be a list with at least one item"):
        planned(project, Settings())


def test_steps_come_after_what_they_need_and_a_fan_out_is_needed_whole(project):
    for name in ("a", "b", "c"):
        project.desk.write(name, parameters='folder: str = ""\nx: str = ""')
    project.pipeline(
        {
            "c": {"notebook": "c.ipynb", "needs": ["b", "a"]},
            "b": {"notebook": "b", "needs": ["a"], "foreach": {"x": "strategies"}, "params": {}},
            "a": {"notebook": "a", "params": {"x": "y"}},
        }
    )
    tasks = {task.id: task for task in planned(project)}
    assert list(tasks) == ["a", "b-u", "b-v", "c"]
    assert tasks["c"].needs == ("b-u", "b-v", "a")
    assert [tasks[id].params for id in ("a", "b-u", "b-v")] == [{"x": "y"}, {"x": "u"}, {"x": "v"}]


def test_the_pipelines_of_this_repository_are_sound(project_at):
    """Whatever is in pipelines/ can be planned with the settings in params/."""
    from pathlib import Path

    from workbench.params import Paths, load_settings

    paths = Paths(Path(__file__).parents[2])
    for file in sorted(paths.pipelines.glob("*.yaml")):
        assert plan(read_pipeline(file.stem, paths), load_settings(paths), paths)
