"""tasks/stored.py: a task comes back from what a run stored, whatever has become of its data."""

import json

import numpy as np
import pytest

from rnnlab import tasks
from rnnlab.core import json_files
from rnnlab.tasks.base import Restorable
from rnnlab.tasks.stored import vocabulary_of, vocabulary_record
from rnnlab.text.vocabulary import Vocabulary
from tests.helpers import small_data


def by_group(group):
    small_data.forget()
    return tasks.from_config(group)


def through_json(record):
    return json.loads(json.dumps(json_files.encode(record), allow_nan=False))


def sizes(task):
    names = ("length", "input_size", "output_size", "classes", "labels", "alphabet", "scale")
    return {name: getattr(task, name) for name in names if hasattr(task, name)}


@pytest.mark.parametrize("kind", small_data.TEXTS)
def test_a_task_is_restored_without_its_data(kind, tmp_path):
    """Sizes, names and ids, against those of the task that learned them."""
    path = small_data.write(kind, tmp_path)
    group = small_data.task_group(kind, path)
    task = by_group(group)
    assert isinstance(task, Restorable)
    expected, stored = sizes(task), through_json(task.stored())
    texts = small_data.TEXTS[kind]
    ids = [
        task.encode(task.tokens(t)) for t in texts if kind != "translation" or len(t.split()) < 5
    ]
    small_data.write(kind, tmp_path, other=True)
    learned_again = by_group(group)
    assert sizes(learned_again) != expected  # so the data matter
    path.unlink()
    small_data.forget()
    restored = tasks.from_config(group).restored(stored)
    assert sizes(restored) == expected
    for text, wanted in zip(texts, ids, strict=True):
        np.testing.assert_array_equal(restored.encode(restored.tokens(text)), wanted)
    assert through_json(restored.stored()) == stored
    # equal by value, and other than the task that reads its data
    assert restored == tasks.from_config(group).restored(stored) != tasks.from_config(group)
    assert hash(restored) == hash(tasks.from_config(group).restored(stored))


@pytest.mark.parametrize("kind", small_data.TEXTS)
def test_changed_data_are_not_read_in_the_old_words(kind, tmp_path):
    path = small_data.write(kind, tmp_path)
    group = small_data.task_group(kind, path)
    restored = by_group(group).restored(through_json(by_group(group).stored()))
    again, learned = restored.load(), by_group(group).load()
    for a, b in zip(again, learned, strict=True):
        np.testing.assert_array_equal(a, b)
    small_data.write(kind, tmp_path, other=True)
    small_data.forget()
    with pytest.raises(ValueError, match="have changed since the run began"):
        restored.load()


def test_words_that_look_like_numbers_stay_words():
    """JSON files write inf and nan as strings: a vocabulary must not turn into numbers."""
    given = Vocabulary.from_counts(["nan", "inf", "-inf", "a\tb", "é"], [5, 4, 3, 2, 1])
    found = vocabulary_of(through_json(vocabulary_record(given)))
    assert found.words() == given.words() == ["nan", "inf", "-inf", "a\tb", "é"]
    assert found.counts.tolist() == [5, 4, 3, 2, 1]
    assert found.total == 15


def test_what_a_run_stored_is_no_option():
    with pytest.raises(ValueError, match="unknown option of task 'characters': 'kept'"):
        tasks.by_name("characters", kept="{}")
