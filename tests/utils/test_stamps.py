"""Stamps: digests that name results, records beside them, and the words for what has changed."""

import hashlib
import json

import pytest

from utils.files import stamps


def test_a_digest_is_the_start_of_the_hash_of_its_parts():
    assert stamps.digest('ab', b'c') == stamps.digest('abc') == hashlib.sha256(b'abc').hexdigest()[:16]


def test_a_file_name_that_is_not_utf8_has_a_digest():
    assert stamps.digest('\udcff') == hashlib.sha256(b'\xff').hexdigest()[:16]


def test_the_digest_of_settings_ignores_their_order_but_not_their_values():
    assert stamps.digest_of_values({'a': 1, 'b': (2,)}) == stamps.digest_of_values({'b': [2], 'a': 1})
    assert stamps.digest_of_values({'a': 1}) != stamps.digest_of_values({'a': 2})


def test_a_record_that_was_written_is_read_back(tmp_path):
    assert stamps.read(tmp_path / 'record.json', 'remove it') is None
    stamps.write(tmp_path / 'record.json', {'scales': (0.5, 1.0)})
    assert stamps.read(tmp_path / 'record.json', 'remove it') == {'scales': [0.5, 1.0]}


@pytest.mark.parametrize('text', ['{', '[1]', '[' * 100000])
def test_a_damaged_record_is_named_with_the_remedy(tmp_path, text):
    path = tmp_path / 'record.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'record\.json: is no record in JSON .*; remove it'):
        stamps.read(path, 'remove it')


def test_differences_are_told_by_name_with_both_values():
    before = {'scales': [1.0], 'flip': True, 'kept': 3}
    assert stamps.differences(before, {'scales': (0.5, 1.0), 'kept': 3, 'crop': 'a'}) == [
        'scales 1.0, now 0.5,1.0',
        'flip on, now none',
        'crop none, now a',
    ]


def test_mappings_within_a_record_are_compared_entry_by_entry():
    before = {'made_by': {'weights': 'a', 'seed': 0}}
    assert stamps.differences(before, {'made_by': {'weights': 'b', 'seed': 0}}) == ['weights a, now b']
    assert stamps.differences({}, before) == ['weights none, now a', 'seed none, now 0']


def test_long_values_are_only_named_where_that_is_asked_for():
    assert stamps.differences({'members': [1]}, {'members': [2]}, named_only=('members',)) == ['members']


def test_equal_records_have_no_differences_after_a_round_through_json():
    record = {'size': (256, 512), 'rate': float('nan')}
    assert stamps.differences(json.loads(json.dumps({'size': [256, 512], 'rate': None})), record) == []
