"""A teacher's table, written and read back, says of each image what the teacher says."""

import numpy as np
import pytest
import torch
from torch import nn

from invset.errors import ConfigError, WeightsError
from invset.models.network import Network
from training.data import ImageSet
from training.network import Teacher, write_table


class Spread(nn.Module):
    """fc8 of an image: its first row of pixels, red, green and blue."""

    def __init__(self):
        super().__init__()
        self.fc8 = nn.Flatten()

    def forward(self, images):
        return self.fc8(20 * images[:, :, 0])


def test_the_loss_by_the_table_is_the_cross_entropy_with_the_teacher(tmp_path):
    teacher = Network("spread", Spread(), {"fc8": "fc8"}, (3, 4, 4), logit_scales={"fc8": 2.0})
    images = torch.randint(256, (5, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = tuple(f"class/{i}.png" for i in range(5))
    path = tmp_path / "new" / "teacher.npz"
    write_table(teacher, ImageSet(images, torch.zeros(5, dtype=torch.long), names), path, top=12, batch=2)
    said = 10 * images[:, :, 0].flatten(1).float() / 255
    student = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    expected = -(said.softmax(1) * student.log_softmax(1)).sum(1).mean()
    rows = torch.tensor([3, 0, 4, 1, 2])
    shuffled = Teacher(path, tuple(names[row] for row in rows))
    torch.testing.assert_close(shuffled.loss(torch.arange(5), student[rows]), expected, rtol=1e-4, atol=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ["teacher.npz"]


def test_what_is_left_out_is_in_the_rest(tmp_path):
    teacher = Network("spread", Spread(), {"fc8": "fc8"}, (3, 4, 4))
    images = torch.randint(256, (3, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    write_table(teacher, ImageSet(images, torch.zeros(3, dtype=torch.long), ("a", "b", "c")), tmp_path / "t.npz", top=4)
    said = 20 * images[:, :, 0].flatten(1).float() / 255
    with np.load(tmp_path / "t.npz") as table:
        ordered = said.sort(1, descending=True).values
        np.testing.assert_allclose(table["logit"], ordered[:, :4], rtol=1e-5)
        np.testing.assert_allclose(table["rest"], ordered[:, 4:].logsumexp(1), rtol=1e-5)


def test_a_teacher_of_all_units_is_cross_entropy(tmp_path):
    """With k units named and the rest hopeless: the full cross-entropy with the teacher's softmax."""
    logits, taught = torch.randn(3, 5), torch.randn(3, 4)
    path = tmp_path / "teacher.npz"
    index = np.tile(np.arange(4, dtype=np.uint16), (2, 1))
    np.savez(path, name=["a/1", "a/2"], index=index, logit=taught[:2].numpy(), rest=np.full(2, -1e4))
    teacher = Teacher(path, ("a/2", "a/1", "b/9"))
    target = torch.cat([taught[[1, 0]].softmax(1), torch.zeros(2, 1)], 1)
    expected = torch.nn.functional.cross_entropy(logits[:2], target)
    torch.testing.assert_close(teacher.loss(torch.arange(3), logits), expected)
    with pytest.raises(ConfigError, match="says nothing about any"):
        Teacher(path, ("b/9",))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short", "pickled", "of other shapes"])
def test_what_is_no_table(content, tmp_path):
    path = tmp_path / "teacher.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "pickled":
        np.savez(path, name=np.array([{"a": 1}], dtype=object), index=[[0]], logit=[[0.0]], rest=[0.0])
    elif content is not None:
        np.savez(path, name=np.array(["a", "b"]), index=[[0]], logit=[[0.0]], rest=[0.0])
    with pytest.raises(WeightsError, match=r"teacher\.npz: .* stage=label"):
        Teacher(path, ("a",))
