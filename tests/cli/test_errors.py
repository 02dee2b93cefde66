"""A wrong setting: one line that says what, exit code 2, and nothing left behind."""

from __future__ import annotations

import pytest
import torch

CASES = [
    # unknown keys
    ("nn=12", "there is no setting 'nn': did you mean n?"),
    ("K=4", "did you mean schedule.K?"),
    ("+foo=1", "there is no setting 'foo'"),
    ("~n", "n: cannot be removed (~n)"),
    ("experiment=linear n=${foo}", "n: Interpolation key 'foo' not found"),
    ("experiment=linear method=penalty method.options.target=45", "method.options.target=45: give a list"),
    ("network=custom neuron=a:1 range=[1,2]", "network.factory=MODULE:FUNCTION is needed"),
    ("hydra.foo=1", "hydra.foo"),
    ("network.options.path=x", "network mini has no option 'path': it has weights, labels"),
    ("network.name=x", "network mini has no option 'name': it has weights, labels"),
    ("neuron=null", "neuron=null: give layer:unit"),
    ("range=null", "range=None: give two finite numbers"),
    ("precision=half", "precision=half"),
    ("encoder=own generator=pixels", "encoder=own: generator pixels"),
    ("+network.options.foo=1", "network mini has no option 'foo': it has weights, labels"),
    # ranges
    ("range=[60,50]", "two finite numbers in order"),
    ("range=50", "two finite numbers in order"),
    ("range=[nan,60]", "two finite numbers"),
    ("range=[[50,60],[1,2]]", "two finite numbers in order"),
    ("neuron=[fc8:2,fc8:3] range=[40,50]", "range=[40, 50] is one range, and there are 2 neurons"),
    # units
    ("neuron=fc8:volcan", "did you mean volcano (981)"),
    ("neuron=fc8:1001", "has units 1 to 1000"),
    ("neuron=fc8:0", "counted from 1"),
    ("neuron=fc9:1", "no layer 'fc9': did you mean fc8"),
    ("neuron=fc8", "'fc8' is not a unit"),
    ("neuron=volcan", "'volcan' is not a unit: did you mean fc8:volcano"),
    ("neuron=conv5:97:99:99", "is no position in this layer"),
    ("neuron=[fc8:2,fc8:goldfish] range=[[1,2],[1,2]]", "names of the same unit"),
    # counts
    ("n=3 method=paper", "n=3 is less than schedule.K=10"),
    # names
    ("network=minni", "network=minni: did you mean mini?"),
    ("network.kind=minni", "there is no network 'minni': did you mean mini?"),
    ("generator=foo", "generator=foo: there are custom, deepsim, mini, pixels, ppgn"),
    ("encoder=fc7", "encoder=fc7: did you mean fc6?"),
    ("encoder.layer=fc66", "no layer 'fc66': did you mean fc6?"),
    ("encoder.network=foo", "encoder.network=foo: there are auto, caffenet"),
    ("encoder.network=non", "encoder.network=non: did you mean none"),
    ("encoder.weights=x.pt", "encoder.weights describes a network of its own"),
    ("precision=float16 device=cpu", "precision=float16 is for GPUs"),
    ("precision=tf32 device=cpu", "precision=tf32 is for GPUs, and the device is cpu"),
    ("experiment=linaer", "experiment=linaer: did you mean linear?"),
    ("schedule=foo", "schedule=foo: there is paper"),
    ("starts=foo", "starts=foo: there are auto, codes, common, mixed, near, normal, random_images"),
    # numbers
    ("n=abc", "n=abc: give a whole number."),
    ("n=1.5", "n=1.5: give a whole number."),
    ("n=null", "n=null: give a whole number."),
    ("n=[1]", "n=[1]: give a whole number."),
    ("threads=x", "threads=x: give a whole number, or null."),
    ("schedule.mu=x", "schedule.mu=x: give a number."),
    ("channels_last=x", "channels_last=x: give true or false, or null."),
    ("folder=[a]", "folder=[a]: give a text, or null."),
    ("objective=3", "objective=3: give its settings one by one, as objective.between="),
    ("network.options=3", "network.options=3: give its settings one by one, as network.options.NAME="),
    # options of methods
    ("method.options.x=1", "method.options.x: method multistart has no settings of its own"),
    ("+method.options.x=1", "method.options.x: method multistart has no settings of its own"),
    ("method.options.stepp=1 method=ppgn", "for method ppgn did you mean step or"),
    ("method.options.x=1 method=ppgn", "for method ppgn there are end_step, epsilon1"),
    ("method.options.take=some method=ppgn", "method.options.take=some: there are every_step, last_only"),
    ("method.options.steps=0 method=ppgn", "method.options.steps=0: give 1 or more"),
    # overrides that cannot be read
    ("fc8[980]", "fc8[980]: cannot be read; write key=value"),
    ("neuron=fc8[980]", "neuron=fc8[980]: cannot be read; write key=value"),
    ("range", "range: cannot be read; write key=value"),
    ("n==4", "n==4: cannot be read"),
    # what does not fit
    ("folder=pictures method=paper", "near, codes or mixed; starts=auto is neither with method=paper"),
    ("folder=pictures starts=normal", "pictures: images are only used with starts=near, codes or mixed: add"),
    ("folder=pictures", "there is no such folder of images"),
    ("starts=codes folder=pictures", "there is no such folder of images"),
    ("experiment=linear neuron=fc8:1", "network linear has no layer 'fc8'"),
    ("batch_size=many", "batch_size=many: give auto, or a whole number from 1 on"),
    ("compile=fast", "compile=fast: there are graphs, inductor"),
    ("schedule.groups=0", "schedule.groups=0: give 1 or more"),
    ("method=ppgn schedule.groups=3", "schedule.groups=3: method=ppgn cannot"),
    ("device=foo", "device=foo: not to be had here"),
    ("device=mps", "device=mps: Apple's GPUs lack the 64-bit numbers"),
    ("device=meta", "device=meta: not to be had here"),
    ("device=hpu", "device=hpu: not to be had here"),
    ("--config-dir missing", "not found"),
    ("resume=nowhere", "there is no run here to continue"),
    (f"resume={'x' * 300}", "File name too long: choose a shorter path"),
    ("resume=a resume=b", "one folder"),
    ("resume=a -m n=20,30", "no -m"),
]


@pytest.mark.parametrize(("arguments", "told"), CASES)
def test_a_wrong_setting_is_one_line(invset, here, arguments, told):
    result = invset("sample", *arguments.split())
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("invset: ")
    assert told in result.err
    assert "Traceback" not in result.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("neuron=fc8:volcan", "did you mean volcano (981)"),
        ("n=12", "there is no setting 'n'"),
        ("codes=1", "codes=1: give 2 or more"),
        ("chains=0", "chains=0: give 1 or more"),
        ("steps=0", "steps=0: give 1 or more"),
        ("codes=many", "codes=many: give a whole number."),
        ("folder=missing", "there is no such folder of images"),
        ("network=linear", "network linear has no layer 'fc8'"),
    ],
)
def test_a_wrong_setting_of_probe(invset, here, arguments, told):
    result = invset("probe", *arguments.split())
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("invset: ")
    assert told in result.err
    assert list(here.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("command", ["sample", "probe"])
def test_no_gpu(invset, here, command):
    result = invset(command, "device=cuda")
    assert result.code == 2
    assert "device=cuda: not to be had here" in result.err
    assert "Use device=cpu" in result.err
    assert list(here.iterdir()) == []


def test_an_unknown_flag(invset, here):
    result = invset("sample", "-x")
    assert result.code == 2
    assert result.err.startswith("invset: there is no flag -x: ")
    assert result.err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_folder_that_cannot_be_made(invset, here):
    (here / "file").write_text("")
    result = invset("sample", "experiment=linear", "n=12", "hydra.run.dir=file/run")
    assert result.code == 1
    assert result.err.count("\n") == 1, result.err
    assert "file/run" in result.err


def test_a_folder_that_holds_a_run(invset, linear_run, copied, linear):
    folder = copied(linear_run)
    before = sorted(path.name for path in folder.iterdir())
    result = invset(*linear, f"hydra.run.dir={folder}")
    assert result.code == 1
    assert result.err == (f"invset: {folder}: holds a run already. Resume it, or choose another folder.\n")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_other_files_in_the_folder_are_left_alone(invset, here):
    (here / "run").mkdir()
    (here / "run" / "notes.txt").write_text("mine")
    assert invset("sample", "n=0", "hydra.run.dir=run").code == 2
    assert (here / "run" / "notes.txt").read_text() == "mine"


def test_an_empty_outputs_folder_goes_only_if_it_was_made_for_the_run(invset, here):
    (here / "outputs" / "earlier").mkdir(parents=True)
    assert invset("sample", "n=0").code == 2
    assert [path.name for path in (here / "outputs").iterdir()] == ["earlier"]


def test_a_mistake_of_the_program_is_no_setting(invset, here, monkeypatch):
    from invset.cli import sample

    def broken(config: object) -> int:
        raise ValueError("a bug")

    monkeypatch.setattr(sample, "task", broken)
    with pytest.raises(ValueError, match="a bug"):
        invset("sample", "n=12")


def test_a_label_with_a_comma_is_shown_in_its_quotes(invset, here):
    result = invset("sample", "neuron=fc8:grey whale, gray whale")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert """as one text, "neuron='fc8:grey whale, gray whale'".""" in result.err


def test_a_label_with_an_apostrophe_is_shown_in_its_quotes(invset, here):
    result = invset("sample", "neuron=fc8:yellow lady's slipper")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert r"""as "neuron='fc8:yellow lady\'s slipper'".""" in result.err
    assert "did you mean yellow lady's slipper" in invset("probe", r"neuron='fc8:yellow lady\'s slippr'").err
