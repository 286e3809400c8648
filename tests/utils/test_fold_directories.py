"""Folders of folds: what stands for several run directories."""

from utils.files.run_directory import members


def test_a_folder_of_folds_is_its_folds_in_the_order_of_their_numbers(tmp_path):
    for name in ('fold_10', 'fold_2', 'fold1', 'folds', 'fold_all', 'predictions'):
        (tmp_path / name).mkdir()
    (tmp_path / 'fold3').touch()
    assert members(tmp_path) == [str(tmp_path / name) for name in ('fold1', 'fold_2', 'fold_10')]


def test_a_run_directory_a_file_and_any_other_folder_stand_for_themselves(tmp_path):
    (tmp_path / 'fold0').mkdir()
    (tmp_path / 'best_checkpoint_ep3.pth').touch()
    for path in (tmp_path, tmp_path / 'best_checkpoint_ep3.pth', tmp_path / 'fold0', tmp_path / 'not_there'):
        assert members(path) == [path]
